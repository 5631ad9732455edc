//! The containers of a group: how they end and whether they are restarted.

use std::time::Duration;

use serde_json::Value;

use super::World;
use super::container_group_spec::RestartPolicy;
use super::container_groups::ContainerGroup;
use super::container_states::{BackOff, Containers, Standby, Termination};
use super::events::GroupOperation;

/// The delay of the first restart; it doubles with every further one.
const FIRST_BACK_OFF: Duration = Duration::from_secs(10);
const LONGEST_BACK_OFF: Duration = Duration::from_mins(5);

impl ContainerGroup {
    /// `properties.instanceView.state` at this moment.
    pub(super) fn state(&self, now: Duration) -> &str {
        if self.is_waiting(now) { "Running" } else { &self.state }
    }

    /// Whether it is in the second half of a back-off.
    pub(super) fn is_waiting(&self, now: Duration) -> bool {
        self.back_off.is_some_and(|back_off| back_off.waiting <= now)
    }

    fn restart_policy(&self) -> RestartPolicy {
        let policy = self.definition.get("restartPolicy").and_then(Value::as_str);
        policy.and_then(RestartPolicy::parse).unwrap_or(RestartPolicy::Always)
    }

    fn end_containers(&mut self, now: Duration, exit_code: i64, detail: &'static str) {
        if let Containers::Terminated(earlier) = self.containers {
            self.previous = Some(earlier);
        }
        self.containers =
            Containers::Terminated(Termination { exit_code, started: self.started, finished: now, detail });
        self.ends += 1;
    }

    /// Starts the containers after a back-off.
    pub(super) fn run_containers(&mut self, now: Duration) {
        if let Containers::Terminated(end) = self.containers {
            self.previous = Some(end);
        }
        self.back_off = None;
        self.started = now;
        self.restart_count += 1;
        self.pull_again(now);
        "Running".clone_into(&mut self.state);
        self.containers = Containers::Running;
    }
}

impl World {
    pub(super) fn stop(&mut self, id: &str) {
        self.terminate(id, "Stopped", 0, "Container stopped per client request");
        self.raise_event(id, GroupOperation::Stopped);
        self.changed();
    }

    /// Ends a group's containers, which releases its address.
    pub(super) fn terminate(&mut self, id: &str, state: &str, exit_code: i64, detail: &'static str) {
        self.keep_group(id);
        self.release_address(id);
        self.clear_agenda(id);
        let now = self.now();
        let keeps = self.settings.stopped_keeps_address;
        let Some(group) = self.groups.get_mut(id) else { return };
        group.displayed = group.displayed.filter(|_| keeps);
        group.forced_state = None;
        state.clone_into(&mut group.state);
        group.end_containers(now, exit_code, detail);
    }

    /// Ends the containers of a group. Returns `false` if they do not run.
    pub(super) fn exit(&mut self, id: &str, exit_code: i64) -> bool {
        let Some(group) = self.groups.get(id) else { return false };
        if group.containers != Containers::Running || group.pending.is_some() {
            return false;
        }
        let (state, detail) = if exit_code == 0 { ("Succeeded", "Completed") } else { ("Failed", "Error") };
        let restarts = match group.restart_policy() {
            RestartPolicy::Always => true,
            RestartPolicy::OnFailure => exit_code != 0,
            RestartPolicy::Never => false,
        };
        if restarts {
            self.keep_group(id);
            let now = self.now();
            let Some(group) = self.groups.get_mut(id) else { return false };
            state.clone_into(&mut group.state);
            group.end_containers(now, exit_code, detail);
            let length = FIRST_BACK_OFF * 2_u32.saturating_pow(group.ends.saturating_sub(1).min(8));
            let length = length.min(LONGEST_BACK_OFF);
            let back_off = BackOff { waiting: now + length / 2, due: now + length, length };
            group.back_off = Some(back_off);
            self.agenda.insert((back_off.due, id.to_owned()));
        } else {
            self.terminate(id, state, exit_code, detail);
        }
        self.changed();
        true
    }

    /// Claims a group from its standby pool. Returns `false` if it is in none.
    pub(super) fn claim(&mut self, id: &str) -> bool {
        let Some(group) = self.groups.get_mut(id) else { return false };
        if group.standby != Standby::Pooled {
            return false;
        }
        group.standby = Standby::Claimed;
        self.raise_event(id, GroupOperation::Updated);
        self.changed();
        true
    }

    /// Runs a group whose containers had ended.
    pub(super) fn run_again(&mut self, id: &str) {
        self.clear_agenda(id);
        let Some(group) = self.groups.get_mut(id) else { return };
        "Running".clone_into(&mut group.state);
        group.containers = Containers::Running;
        if group.address.is_none() {
            self.take_address(id);
        }
    }
}
