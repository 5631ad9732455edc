//! Breadth-first search through all states.
//!
//! Every state is hashed to 64 bits, and only the hash is kept, with the number of the state before and of the step
//! between. The story of a state is found by taking these steps again.
//!
//! `stateright` was considered: it keeps states whole in its queue, hashes them as they are, and brings a web server
//! along. Here the canonical form of a state, the numbered facts and the checks at an end belong together, and the
//! search itself is a page.

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write as _,
    hash::{BuildHasherDefault, Hash},
    time::{Duration, Instant},
};

use super::{
    hash::{Same, hash},
    properties::{Excuse, Finding, Property},
};

/// A model that can be searched.
pub(crate) trait Searched: Sized {
    type State: Copy + Hash;
    type Action: Copy;

    /// The states in which it begins.
    fn starts(&self) -> Vec<Self::State>;

    /// All steps that may come next.
    fn actions(&mut self, state: &Self::State, actions: &mut Vec<Self::Action>);

    /// Takes a step.
    fn take(step: &mut Taking<'_, Self>, action: Self::Action);

    /// The one form of all states that have the same future, and whether the instances changed places. Instances have
    /// no order, and versions that no read shows any more are dropped.
    fn canonical(&self, state: Self::State) -> (Self::State, bool);

    /// What is wrong with a state in which nothing is under way.
    fn judge_end(&mut self, state: &Self::State) -> Vec<Finding>;

    /// The instance that takes a step; none if something happens to Azure.
    fn instance_of(action: Self::Action) -> Option<usize>;

    /// What Azure holds, one line each.
    fn show(&self, state: &Self::State) -> Vec<String>;
}

/// What a step leads to.
#[derive(Debug)]
struct Next<State> {
    /// The next state.
    state: State,
    /// What is wrong with the step.
    finding: Option<Finding>,
    /// The step in words, where they were asked for.
    story: String,
    /// Whether the instances changed places.
    is_swapped: bool,
}

/// A step in progress.
#[derive(Debug)]
pub(crate) struct Taking<'a, Model: Searched> {
    pub(crate) model: &'a mut Model,
    pub(crate) state: Model::State,
    /// What is wrong with the step: the first finding.
    pub(crate) finding: Option<Finding>,
    /// The step in words, where they were asked for.
    pub(crate) story: Option<String>,
}

impl<'a, Model: Searched> Taking<'a, Model> {
    /// A step that begins in this state.
    pub(crate) fn new(model: &'a mut Model, state: Model::State, is_told: bool) -> Self {
        Self { model, state, finding: None, story: is_told.then(String::new) }
    }

    /// Adds to the words, if they were asked for.
    pub(crate) fn describe(&mut self, text: impl FnOnce(&Model) -> String) {
        if let Some(story) = &mut self.story {
            *story += &text(self.model);
        }
    }

    /// Keeps a finding, if it is the first one.
    pub(crate) fn find(&mut self, property: Property, excuse: Option<Excuse>, text: String) {
        self.finding.get_or_insert(Finding { property, excuse, text });
    }
}

fn apply<Model: Searched>(
    model: &mut Model,
    state: &Model::State,
    action: Model::Action,
    is_told: bool,
) -> Next<Model::State> {
    let mut taking = Taking::new(model, *state, is_told);
    Model::take(&mut taking, action);
    let Taking { state, finding, story, .. } = taking;
    let (state, is_swapped) = model.canonical(state);
    Next { state, finding, story: story.unwrap_or_default(), is_swapped }
}

/// What a search found.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// How many different states there are.
    pub(crate) states: usize,
    /// How many steps were taken.
    pub(crate) steps: u64,
    /// How many steps lead to the farthest state.
    pub(crate) depth: usize,
    /// How long it took.
    pub(crate) elapsed: Duration,
    /// Whether all states were visited.
    pub(crate) is_complete: bool,
    /// What does not hold, with the story of the first case.
    pub(crate) violation: Option<(Finding, String)>,
    /// What need not hold: how often, with the story of the first case.
    pub(crate) exceptions: BTreeMap<(Property, Excuse), (u64, String)>,
}

/// A state that was met: the one before, and which of its steps led here.
#[derive(Clone, Copy, Debug)]
struct Met {
    before: u32,
    step: u16,
}

/// Searches all states, or as many as there is room for. Ends with the first property that does not hold.
pub(crate) fn search(model: &mut impl Searched, room: usize) -> Report {
    let started = Instant::now();
    let mut search = Search::default();
    let mut level = Vec::new();
    for (step, state) in (0..).zip(model.starts()) {
        if search.is_new(&state, Met { before: NO_STATE, step }) {
            level.push(state);
        }
    }
    let mut first = 0;
    while !level.is_empty() && search.report.violation.is_none() && search.met.len() <= room {
        let next_level = search.level(model, &level, first, room);
        first += u32::try_from(level.len()).unwrap();
        level = next_level;
        search.report.depth += 1;
    }
    let Search { mut report, met, .. } = search;
    report.is_complete = level.is_empty();
    report.states = met.len();
    report.elapsed = started.elapsed();
    report
}

/// No state: before a start.
const NO_STATE: u32 = u32::MAX;

/// A search under way.
#[derive(Default)]
struct Search {
    hashes: HashSet<u64, BuildHasherDefault<Same>>,
    met: Vec<Met>,
    report: Report,
}

impl Search {
    fn is_new(&mut self, state: &impl Hash, met: Met) -> bool {
        let is_new = self.hashes.insert(hash(state));
        if is_new {
            self.met.push(met);
        }
        is_new
    }

    /// Takes all steps from the states of one level, whose first has this number. Gives the next level.
    fn level<Model: Searched>(
        &mut self,
        model: &mut Model,
        level: &[Model::State],
        first: u32,
        room: usize,
    ) -> Vec<Model::State> {
        let mut next_level = Vec::new();
        let mut actions = Vec::new();
        for (number, state) in (first..).zip(level) {
            model.actions(state, &mut actions);
            for (step, action) in (0_u16..).zip(&actions) {
                self.report.steps += 1;
                let next = apply(model, state, *action, false);
                let is_new = self.is_new(&next.state, Met { before: number, step });
                let at_end = if is_new { model.judge_end(&next.state) } else { Vec::new() };
                if is_new {
                    next_level.push(next.state);
                }
                for finding in next.finding.into_iter().chain(at_end) {
                    self.report(model, number, *action, finding);
                }
                if self.report.violation.is_some() || self.met.len() > room {
                    return next_level;
                }
            }
        }
        next_level
    }

    /// Reports something that does not hold after a step from a state.
    fn report<Model: Searched>(
        &mut self,
        model: &mut Model,
        number: u32,
        action: Model::Action,
        finding: Finding,
    ) {
        if self.report.violation.is_some() {
            return;
        }
        if let Some(excuse) = finding.excuse {
            let first = || (0, story(model, &self.met, number, action, &finding));
            let (count, _) = self.report.exceptions.entry((finding.property, excuse)).or_insert_with(first);
            *count += 1;
        } else {
            let story = story(model, &self.met, number, action, &finding);
            self.report.violation = Some((finding, story));
        }
    }
}

/// One line for each step that leads to a state and beyond, what is wrong there, and what Azure holds then.
fn story<Model: Searched>(
    model: &mut Model,
    met: &[Met],
    last: u32,
    action: Model::Action,
    finding: &Finding,
) -> String {
    let mut steps = Vec::new();
    let mut at = last;
    let start = loop {
        let Met { before, step } = met[usize::try_from(at).unwrap()];
        if before == NO_STATE {
            break step;
        }
        steps.push(step);
        at = before;
    };
    let mut state = model.starts()[usize::from(start)];
    let mut story = String::new();
    let mut names = ["instance 1", "instance 2"];
    let mut actions = Vec::new();
    let mut number = 0;
    let mut tell = |model: &mut Model, state: &Model::State, action: Model::Action| {
        let next = apply(model, state, action, true);
        number += 1;
        let subject = Model::instance_of(action).map_or("", |instance| names[instance]);
        let space = if subject.is_empty() { "" } else { " " };
        writeln!(story, "{number:>3}. {subject}{space}{}", next.story).unwrap();
        if next.is_swapped {
            names.swap(0, 1);
        }
        next.state
    };
    for step in steps.into_iter().rev() {
        model.actions(&state, &mut actions);
        state = tell(model, &state, actions[usize::from(step)]);
    }
    let end = tell(model, &state, action);
    writeln!(story, "  => {:?}: {}", finding.property, finding.text).unwrap();
    for line in model.show(&end) {
        writeln!(story, "     {line}").unwrap();
    }
    story
}
