//! The commands about images: pushes to registries.

use std::io::Write;

use super::{Player, ScenarioError, Words, word};
use crate::replay::{
    pushes,
    stage::{IMAGE_PUSHED, IMAGE_WEBHOOK, Stage},
};
use azure_simulator::PushSpec;

impl<Lookup: Fn(&str) -> Option<String>> Player<Lookup> {
    /// The app of image updates, which starts with the first push.
    pub(in crate::replay) fn image_stage(&mut self) -> Result<Option<Stage>, ScenarioError> {
        if self.image_stage.is_none() {
            let settings = self.settings()?;
            let observe = |settings| Stage::observed(settings, self.azure.clone(), &self.telemetry);
            self.image_stage = pushes::stage(&settings, &self.azure, observe);
            self.image_host = self.image_stage.as_ref().and_then(Stage::start_queue_host);
        }
        Ok(self.image_stage.clone())
    }

    /// Pushes an image, and delivers what its registry reports.
    pub(super) async fn push(
        &mut self,
        mut words: Words<'_>,
        out: &mut dyn Write,
    ) -> Result<(), ScenarioError> {
        let image = words.next("an image")?;
        let stage = self.image_stage()?;
        let stage = stage.ok_or(ScenarioError::MissingWord("set ACI_DNS_IMAGES before it"))?;
        let is_right = |_| word(image, "an image such as demo.azurecr.io/app:v1");
        let pushed = self.azure.push_image(&PushSpec::new(image)).map_err(is_right)?;
        drop(self.lines.take());
        let mut times = 1;
        let mut is_webhook = false;
        for option in words.0 {
            match option {
                "twice" => times = 2,
                "webhook" => is_webhook = true,
                other => return Err(word(other, "twice or webhook")),
            }
        }
        for _ in 0..times {
            if is_webhook {
                stage.post(IMAGE_WEBHOOK, &pushes::webhook(&pushed.acr_webhook())).await;
            } else {
                stage.invoke(IMAGE_PUSHED, &pushed.event()).await;
            }
        }
        self.show_lines("", out)?;
        Ok(())
    }
}
