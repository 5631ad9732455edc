//! The control requests for images.

use http::Method;
use serde_json::{Value, json};

use super::control::{control_json, text};
use super::image_pushes::PushSpec;
use super::messages::{Request, field};
use super::{Azure, RunningImage};

impl Azure {
    /// The answer to a control request for images; `None` if it is for something else.
    pub(super) fn control_images(&self, request: &Request, path: &[&str]) -> Option<Result<Value, String>> {
        match (&request.method, path) {
            (&Method::GET, ["images"]) => Some(Ok(self.images_body())),
            (&Method::POST, ["images", verb]) => {
                Some(control_json(request).and_then(|body| {
                    let image = text(&body, "image")?;
                    match *verb {
                        "push" => {
                            let with = |spec: PushSpec, name: &str, set: fn(PushSpec, &str) -> PushSpec| {
                                match field(&body, name).as_str() {
                                    Some(value) => set(spec, value),
                                    None => spec,
                                }
                            };
                            let spec = with(PushSpec::new(image), "digest", PushSpec::with_digest);
                            let spec = with(spec, "time", PushSpec::at);
                            let pushed = self.push_image(&spec).map_err(|error| error.to_string())?;
                            Ok(pushed.forms())
                        }
                        "remove" => {
                            self.remove_image(image);
                            Ok(Value::Null)
                        }
                        _ => Err(format!("unknown verb '{verb}'")),
                    }
                }))
            }
            _ => None,
        }
    }

    fn images_body(&self) -> Value {
        let ids = self.read(|view| view.groups().into_iter().map(|group| group.id).collect::<Vec<_>>());
        let running = ids.iter().flat_map(|id| {
            let body = move |running: RunningImage| {
                let RunningImage { container, image, digest } = running;
                json!({"group": id, "container": container, "image": image, "digest": digest})
            };
            self.running_images(id).into_iter().map(body)
        });
        json!({"pushed": self.pushed_images(), "running": running.collect::<Vec<_>>()})
    }
}
