//! Keeps Private DNS right for Azure Container Instances.
//!
//! A container group in a virtual network is reachable only by a private address that changes at every restart,
//! redeployment or platform move, and Private DNS never registers it. This crate is an Azure Functions *custom
//! handler*: on ARM lifecycle events from Event Grid it makes the A record set in the forward zone and the PTR
//! record set in the reverse zone right (`function_aci_reconcile`, the only writer), and it says when DNS and
//! reality differ (`function_drift_tracker`, which has nothing to write with).
//!
//! # The house, in reading order
//!
//! Data goes one way: an invocation of the Functions [`host`] carries an [`event`], which names a container group;
//! [`config`] says which zones serve it; what [`observe`] reads and what is [`desired`] become a [`plan`]; what
//! is planned is [`apply`]-ed; the [`report`] goes to [`telemetry`] and back to the host.
//!
//! | module | is |
//! |---|---|
//! | [`resource_id`], [`dns`], [`container_group`] | the words: ids, names, zones, record sets, owners, addresses |
//! | [`text`] | encodings of files, control characters |
//! | [`event`] | Event Grid event -> which container group |
//! | [`environment`] | the variables of this process, and the files that they name |
//! | [`config`] | settings; which zones serve which container groups |
//! | [`desired`] | container group + zones -> the record sets that it should have |
//! | [`plan`] | desired x observed -> changes and conflicts; the only place that decides what is written |
//! | [`observe`] | reads the live container group and the record sets that matter |
//! | [`apply`] | changes -> conditional writes; the only place that writes |
//! | [`reconcile`] | observe, plan, apply; look again after a lost race |
//! | [`share`] | concurrent events of one group share passes |
//! | [`owed`] | what Azure throttled is tried again without being asked |
//! | [`drift`] | observe, compare, report |
//! | [`sweep`] | all groups and zones at once: by lists, through the same reconciler and tracker; repairs on demand |
//! | [`doctor`] | a preflight: whether everything that this depends on is as it should be |
//! | [`report`] | what became of an event |
//! | [`findings`] | what a sweep found, as table, diff and JSON |
//! | [`telemetry`] | one line per event; Application Insights; Log Analytics |
//! | [`host`], [`functions`] | the custom handler's protocol, and the functions wired to it |
//! | [`arm`] | client of Azure's REST API; the only user of the Azure SDK |
//! | [`simulator`] | server of the same API, in memory; shares no type with [`arm`] |
//! | [`replay`] | plays events against the simulator, or against a running handler |
//!
//! # Invariants
//!
//! * The pure modules (`text`, `resource_id`, `dns`, `container_group`, `event`, `config`, `desired`, `plan`, `report`,
//!   `findings`, and `doctor` but for what it gathers) do no I/O, are not `async`, do not log, and read neither clock
//!   nor environment.
//! * An event decides nothing but which group is looked at; an address is written only when it was read in the
//!   same pass; every write is conditional on what was read.
//! * There is no state between invocations but DNS itself. What is owed after a throttle saves time, and nothing
//!   depends on it.
//! * Nothing that failed is answered 2xx.

pub mod apply;
pub mod arm;
pub mod config;
pub mod container_group;
pub mod desired;
pub mod dns;
pub mod doctor;
pub mod drift;
pub mod environment;
pub mod event;
pub mod findings;
pub mod functions;
pub mod host;
pub mod observe;
pub mod owed;
pub mod plan;
pub mod reconcile;
pub mod replay;
pub mod report;
pub mod resource_id;
pub mod share;
pub mod simulator;
pub mod sweep;
pub mod telemetry;
pub mod text;
