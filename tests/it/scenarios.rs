//! The scripts in `tests/scenarios`, with their output (`INSTA_UPDATE=always` updates it).
//!
//! Each script gets the same end: the last event again, whose plan is empty; the result of the drift tracker
//! for each existing group; and the zones.

use std::{collections::BTreeSet, fs, path::Path};

use aci_dns::{
    config::LogFilter,
    replay::{scenario::Player, stage::Lines},
};
use azure_simulator::Azure;

/// Runs a script and its end.
async fn play(script: &str) -> String {
    let lines = Lines::default();
    let _subscriber = tracing::subscriber::set_default(lines.subscriber(&LogFilter::default()));
    let mut player = Player::new(Azure::default(), lines, |_| None);
    let mut out = Vec::new();
    for line in script.lines() {
        player.play(line, &mut out).await.unwrap_or_else(|error| panic!("{line:?}: {error}"));
    }
    let before = zones(player.azure());
    player.play("again", &mut out).await.unwrap();
    let plan = player.output().last().unwrap().list("plan");
    assert!(plan.is_empty(), "the last event once more would do {plan:#?}");
    assert_eq!(zones(player.azure()), before);
    let drifts: Vec<_> = player.azure().read(|view| {
        let groups = view.groups().into_iter();
        groups.map(|group| format!("drift {}/{}", group.resource_group, group.name)).collect()
    });
    for drift in drifts {
        player.play(&drift, &mut out).await.unwrap();
    }
    player.play("zones", &mut out).await.unwrap();
    assert_eq!(zones(player.azure()), before);
    anstream::adapter::strip_str(&String::from_utf8(out).unwrap()).to_string()
}

fn zones(azure: &Azure) -> Vec<String> {
    azure.read(|view| {
        let zones = view.zones().into_iter();
        zones.flat_map(|zone| view.record_sets(&zone)).map(|set| set.to_string()).collect()
    })
}

#[tokio::test(start_paused = true)]
async fn each_scenario_has_its_checked_in_output() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let files = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
    let (scripts, outputs): (BTreeSet<_>, BTreeSet<_>) =
        files.partition(|file| file.extension().is_some_and(|extension| extension == "txt"));
    assert!(scripts.len() >= 12, "{scripts:#?}");
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(&folder);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for script in &scripts {
        let name = script.file_stem().unwrap().to_str().unwrap();
        let output = play(&fs::read_to_string(script).unwrap()).await;
        settings.bind(|| insta::assert_snapshot!(name, output));
    }
    let orphans: Vec<_> =
        outputs.iter().filter(|file| !scripts.contains(&file.with_extension("txt"))).collect();
    assert!(orphans.is_empty(), "{orphans:#?}");
}
