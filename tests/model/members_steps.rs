//! The steps of the model of services: what happens to members, deliveries, and requests.

use super::*;

impl Taking<'_> {
    fn tell(&mut self, text: impl FnOnce() -> String) {
        self.describe(|_| text());
    }

    pub(super) fn take(&mut self, action: ServiceAction) {
        match action {
            ServiceAction::Change { member, to, is_begun } => {
                self.state.events_left -= u8::from(!is_begun);
                self.state.members[usize::from(member)].replace(to);
                self.state.used |= to.address().map_or(0, bit);
                let is_deleted = to.life == MemberLife::Absent;
                let evidence = if is_deleted { Evidence::Deletion } else { Evidence::None };
                self.state.waiting[usize::from(member)].add(Events::one(evidence));
                self.tell(|| format!("now {}: {}", member_name(member), show(to)));
            }
            ServiceAction::Deliver { instance, of, is_old } => {
                let mut causes = Causes::default();
                let mut events = [Events::default(); MEMBERS];
                for member in (0..ids(MEMBERS)).filter(|member| contains(of, bit(*member))) {
                    let index = usize::from(member);
                    events[index] = std::mem::take(&mut self.state.waiting[index]);
                    let is_absent = self.state.member(member).life == MemberLife::Absent;
                    let evidence = strongest(events[index]);
                    causes[index] = if is_old && is_absent { Some(Evidence::Deletion) } else { evidence };
                }
                self.tell(|| format!("is given events (a 404 of v1 and v2 proves: {causes:?})"));
                self.start(instance, causes, events);
            }
            ServiceAction::Redeliver { instance, member } => {
                let index = usize::from(member);
                let mut events = [Events::default(); MEMBERS];
                events[index] = std::mem::take(&mut self.state.blocked[index]);
                let mut causes = Causes::default();
                causes[index] = strongest(events[index]);
                self.tell(|| format!("is given events of {} again", member_name(member)));
                self.start(instance, causes, events);
            }
            ServiceAction::Request { instance, index, how } => {
                self.state.faults_left -= u8::from(how != How::Well);
                if matches!(how, How::Stale(_)) {
                    self.state.past.add(Past::STALE);
                }
                self.request(instance, index, how);
            }
            ServiceAction::Crash { instance } => {
                self.state.faults_left -= 1;
                let one = std::mem::take(&mut self.state.instances[instance]);
                for (waiting, events) in self.state.waiting.iter_mut().zip(one.events) {
                    waiting.add(events);
                }
                self.tell(|| "is killed".to_owned());
            }
        }
    }

    pub(super) fn start(&mut self, instance: usize, causes: Causes, events: [Events; MEMBERS]) {
        let facts = self.model.minds.start(causes);
        self.state.instances[instance] = ServiceInstance { facts, events, ..ServiceInstance::default() };
    }

    pub(super) fn request(&mut self, instance: usize, index: usize, how: How) {
        let one = self.state.instances[instance];
        let plan = self.model.minds.plan(one.facts);
        let ServicePlan::Act(requests) = &*plan else { unreachable!("a run that is over sends no request") };
        let is_lost = matches!(how, How::Lost { .. });
        let answer = match &requests[index] {
            ServiceRequest::Write { label, after, line, finding } => {
                self.tell(|| format!("sends {line}"));
                let answer = if how == (How::Lost { has_happened: false }) {
                    ServiceAnswer::Failed(FailureKind::Uncertain)
                } else {
                    self.write(instance, (*label, *after), finding.as_deref())
                };
                if is_lost { ServiceAnswer::Failed(FailureKind::Uncertain) } else { answer }
            }
            _ if is_lost => ServiceAnswer::Failed(FailureKind::Transient),
            request => self.read(instance, request, how),
        };
        if !matches!(answer, ServiceAnswer::Written(_)) {
            let stale = if matches!(how, How::Stale(_)) { " (stale)" } else { "" };
            self.tell(|| format!(" {:?}: {}{stale}", requests[index], show_answer(answer)));
        }
        let answer = self.model.minds.answer_id(answer);
        let one = &mut self.state.instances[instance];
        one.answers[index] = answer;
        if one.answers.iter().take(requests.len()).any(|answer| *answer == 0) {
            return;
        }
        let (facts, is_new_pass) = self.model.minds.learn(one.facts, one.answers);
        (one.facts, one.answers) = (facts, Default::default());
        if is_new_pass {
            one.labels.keep(self.model.minds.get(facts).deleted);
            (one.was_down, one.was_down_first) = (0, 0);
        }
        if let ServicePlan::Done(outcomes, text) = &*self.model.minds.plan(facts) {
            let causes = self.model.minds.causes(facts);
            let one = std::mem::take(&mut self.state.instances[instance]);
            for member in (0..MEMBERS).filter(|member| causes[*member].is_some()) {
                match outcomes[member] {
                    Outcome::Acknowledged => {}
                    Outcome::Blocked => self.state.blocked[member].add(one.events[member]),
                    Outcome::Unavailable => self.state.waiting[member].add(one.events[member]),
                }
            }
            self.tell(|| format!("; {outcomes:?}: {text}"));
        }
    }

    fn read(&mut self, instance: usize, request: &ServiceRequest, how: How) -> ServiceAnswer {
        let seen = |state: &ServiceState, member: u8| {
            let versions = state.members[usize::from(member)];
            let previous = if how == How::Stale(member) { versions.previous } else { None };
            previous.unwrap_or(versions.current)
        };
        let down = self.state.mask(|member| !member.runs());
        match request {
            ServiceRequest::Groups { is_again } => {
                let one = &mut self.state.instances[instance];
                let noted = if *is_again { &mut one.was_down } else { &mut one.was_down_first };
                *noted |= down;
                ServiceAnswer::Groups([0, 1].map(|member| seen(&self.state, member)))
            }
            ServiceRequest::Group { member, .. }
                if *member == ELSEWHERE || contains(self.model.scenario.unreadable, bit(*member)) =>
            {
                ServiceAnswer::Failed(FailureKind::Forbidden)
            }
            ServiceRequest::Group { member, is_again } => {
                if *is_again {
                    self.state.instances[instance].was_down |= down & bit(*member);
                }
                ServiceAnswer::Group(seen(&self.state, *member))
            }
            ServiceRequest::Set => {
                let versions = self.state.set;
                let (content, version) = match (how, versions.previous) {
                    (How::Stale(_), Some(previous)) => (previous, Version::Previous),
                    _ => (versions.current, Version::Current),
                };
                let labels = &mut self.state.instances[instance].labels;
                ServiceAnswer::Set(content.map(|content| (content, labels.of(version))))
            }
            ServiceRequest::Write { .. } => unreachable!("it is no read"),
        }
    }

    fn write(
        &mut self,
        instance: usize,
        (label, after): (Option<Label>, Option<ServiceSet>),
        unproved: Option<&str>,
    ) -> ServiceAnswer {
        let before = self.state.set.current;
        let labels = self.state.instances[instance].labels;
        let is_met = match label {
            None => before.is_none(),
            Some(label) => before.is_some() && labels.get(label) == Version::Current,
        };
        if !is_met && self.model.minds.broken != Some(ServiceBroken::WritesUnconditionally) {
            return ServiceAnswer::Failed(FailureKind::Race);
        }
        let text = format!("{} becomes {}", ServiceMinds::show(before), ServiceMinds::show(after));
        if let Some(unproved) = unproved {
            self.find(Property::Evidence, None, format!("{unproved}: {text}"));
        }
        if before.is_some_and(|before| before.mark != Mark::Group(0)) {
            self.find(Property::Isolation, None, format!("a record set of others is written: {text}"));
        }
        let is_annotated = |set: Option<ServiceSet>| set.is_some_and(|set| set.is_annotated);
        if is_annotated(before) && after.is_some() && !is_annotated(after) {
            self.find(Property::Isolation, None, format!("metadata of others goes: {text}"));
        }
        let holds = |set: Option<ServiceSet>| set.is_some_and(|set| set.values != 0);
        // A member that cannot be read fails its own invocation until it is in the set.
        let running = self.state.mask(Member::runs) & !self.model.scenario.unreadable;
        if holds(before) && !holds(after) && running != 0 {
            let one = &self.state.instances[instance];
            let excuse = if contains(one.was_down, running) {
                Some(Excuse::CameBack)
            } else if contains(one.was_down_first, running) && self.state.past.has(Past::STALE) {
                // The second list is stale: a replica lags by more than three seconds.
                Some(Excuse::Stale)
            } else {
                None
            };
            self.find(Property::NoGap, excuse, format!("while a member runs, {text}"));
        }
        self.state.set.replace(after);
        for one in &mut self.state.instances {
            one.labels.outdate();
        }
        let labels = &mut self.state.instances[instance].labels;
        ServiceAnswer::Written(after.map(|_| labels.of(Version::Current)))
    }
}

/// A group in words.
fn show(member: Member) -> String {
    let at = |address| Places::address(address).to_string();
    let life = match member.life {
        MemberLife::Absent => "404".to_owned(),
        MemberLife::Running(address) => format!("runs at {}", at(address)),
        MemberLife::Stopped(address) => format!("is stopped, shows {}", at(address)),
        MemberLife::Updating(address) => format!("is updated, shows {}", at(address)),
        MemberLife::Creating => "is created".to_owned(),
    };
    if member.is_draining { format!("{life}, drains") } else { life }
}

fn show_answer(answer: ServiceAnswer) -> String {
    match answer {
        ServiceAnswer::Groups([first, second]) => format!("v1 {}; v2 {}", show(first), show(second)),
        ServiceAnswer::Group(member) => show(member),
        ServiceAnswer::Set(set) => ServiceMinds::show(set.map(|(set, _)| set)),
        ServiceAnswer::Written(_) => "done".to_owned(),
        ServiceAnswer::Failed(kind) => format!("{kind:?}"),
    }
}
