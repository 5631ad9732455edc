//! The commands of a scenario that make Azure fail, lag or refuse.

use http::Method;

use super::{
    Player, SUBSCRIPTION, ScenarioError, Words, ZONE_RESOURCE_GROUP, duration, number, parse, split, word,
};
use azure_simulator::{Effect, Fault, FaultAnswer, LockLevel, Staleness, View, When};

impl<Lookup: Fn(&str) -> Option<String>> Player<Lookup> {
    /// Plays one of these commands.
    pub(super) fn play_fault(&self, command: &str, mut words: Words<'_>) -> Result<(), ScenarioError> {
        match command {
            "fail" => self.fail(words),
            "lose" => self.lose_answers(words),
            "distrust" => {
                let mut fault = Self::fault(method(&mut words)?, &mut words)?;
                self.condition(&mut fault, words)?;
                self.azure.inject(Fault { effect: Effect::UntrustedCertificate, ..fault });
                Ok(())
            }
            "stale" => self.stale(words),
            "hide" => self.hide(words),
            "lock" => {
                let scope = self.scope(words.next("a scope")?)?;
                let name = words.next("a level")?;
                let level = LockLevel::parse(name).ok_or_else(|| word(name, "CanNotDelete or ReadOnly"))?;
                self.azure.lock(&scope, level);
                Ok(())
            }
            "unlock" => {
                self.azure.unlock(&self.scope(words.next("a scope")?)?);
                Ok(())
            }
            "deny" => {
                let scope = self.scope(words.next("a scope")?)?;
                self.azure.deny(&scope, words.next("an action")?);
                Ok(())
            }
            "allow" => {
                self.azure.allow(&self.scope(words.next("a scope")?)?);
                Ok(())
            }
            unknown => Err(ScenarioError::Unknown(unknown.to_owned())),
        }
    }

    fn fail(&self, mut words: Words<'_>) -> Result<(), ScenarioError> {
        let mut fault = Self::fault(method(&mut words)?, &mut words)?;
        let mut answer = FaultAnswer::new(parse(words.next("a status")?, "a status")?, "Injected");
        let mut when = When::Before;
        for option in words.0 {
            match option.split_once('=') {
                None if option == "after" => when = When::After,
                Some(("retry-after", seconds)) => answer.retry_after_seconds = Some(number(seconds)?),
                Some(("code", code)) => {
                    let with_code = FaultAnswer::new(answer.status, code);
                    (answer.code, answer.message) = (with_code.code, with_code.message);
                }
                _ => self.option(&mut fault, option)?,
            }
        }
        fault.effect = Effect::Answer(when, answer);
        self.azure.inject(fault);
        Ok(())
    }

    fn lose_answers(&self, mut words: Words<'_>) -> Result<(), ScenarioError> {
        let mut fault = Self::fault(method(&mut words)?, &mut words)?;
        for option in words.0 {
            match option {
                "after" => fault.effect = Effect::Drop(When::After),
                _ => self.option(&mut fault, option)?,
            }
        }
        self.azure.inject(fault);
        Ok(())
    }

    fn stale(&self, mut words: Words<'_>) -> Result<(), ScenarioError> {
        let mut fault = Self::fault(Method::GET, &mut words)?;
        let mut staleness = Staleness::Versions(1);
        for option in words.0 {
            match option.split_once('=') {
                None if option == "now" => staleness = Staleness::AsOf(self.azure.moment()),
                Some(("versions", count)) => staleness = Staleness::Versions(parse(count, "a number")?),
                Some(("behind", time)) => staleness = Staleness::Behind(duration(time)?),
                _ => self.option(&mut fault, option)?,
            }
        }
        self.azure.inject(Fault { effect: Effect::Stale(staleness), ..fault });
        Ok(())
    }

    fn hide(&self, mut words: Words<'_>) -> Result<(), ScenarioError> {
        let mut fault = Self::fault(Method::GET, &mut words)?;
        let mut staleness = Staleness::NotYet;
        for option in words.0 {
            match option {
                "resource-group" => staleness = Staleness::ResourceGroupNotYet,
                _ => self.option(&mut fault, option)?,
            }
        }
        self.azure.inject(Fault { effect: Effect::Stale(staleness), ..fault });
        Ok(())
    }

    /// A fault of the path in the next word.
    fn fault(method: Method, words: &mut Words<'_>) -> Result<Fault, ScenarioError> {
        Ok(Fault::once(method, words.next("a path")?, Effect::Drop(When::Before)))
    }

    fn condition(&self, fault: &mut Fault, words: Words<'_>) -> Result<(), ScenarioError> {
        words.0.into_iter().try_for_each(|option| self.option(fault, option))
    }

    /// Reads one part of an occasion.
    fn option(&self, fault: &mut Fault, option: &str) -> Result<(), ScenarioError> {
        match option.split_once('=') {
            Some(("times", times)) => fault.times = number(times)?,
            Some(("skip", skip)) => fault.skip = number(skip)?,
            Some(("for", time)) => {
                fault.until = Some(self.azure.elapsed() + duration(time)?);
                fault.times = u64::MAX;
            }
            _ => return Err(word(option, "an option of this command")),
        }
        Ok(())
    }

    /// The resource id of a scope.
    fn scope(&self, text: &str) -> Result<String, ScenarioError> {
        let in_group = |group: &str| format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/{group}");
        if text.starts_with('/') {
            return Ok(text.to_owned());
        }
        let is_zone = |view: &View<'_>| view.zones().iter().any(|zone| zone == text);
        if self.azure.read(is_zone) {
            let group = in_group(ZONE_RESOURCE_GROUP);
            return Ok(format!("{group}/providers/Microsoft.Network/privateDnsZones/{text}"));
        }
        if text.contains('/') {
            let (group, name) = split(text)?;
            let group = in_group(group);
            return Ok(format!("{group}/providers/Microsoft.ContainerInstance/containerGroups/{name}"));
        }
        Ok(in_group(text))
    }
}

fn method(words: &mut Words<'_>) -> Result<Method, ScenarioError> {
    parse(words.next("a method")?, "a method")
}
