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
//! [`config`] says which zones serve it; the [`driver`] asks [`decide`] for the next step, carries it out, and lets the
//! facts learn the answers, until the step is a verdict; the [`report`] goes to [`telemetry`] and back to the host.
//!
//! | module | is |
//! |---|---|
//! | [`resource_id`], [`dns`], [`container_group`] | the words: ids, names, zones, record sets, owners, addresses |
//! | [`text`] | encodings of files, control characters |
//! | [`event`] | Event Grid event -> which container group |
//! | [`environment`] | the variables of this process, and the files that they name |
//! | [`config`] | settings; which zones serve which container groups |
//! | [`desired`] | container group + zones -> the record sets that it should have |
//! | [`change`] | one change of one record set, and how a plan shows it |
//! | [`decide`] | facts -> what to read, what to write, or the verdict; the only place that decides |
//! | [`failure`] | what a failed request means for its sender |
//! | [`driver`] | carries out decisions; the only place that writes |
//! | [`reconcile`] | one invocation: deadline, shared runs, report |
//! | [`coalesce`], [`slot`] | concurrent events of one group share runs; how many run at the same time |
//! | [`retry_message`] | the messages of the retry queue, and how much evidence they carry |
//! | [`retry`] | unfinished work is stored before its event is acknowledged; rechecks |
//! | [`poison`] | the messages that were given up, for the command `retry` |
//! | [`drift`] | compares, and reports |
//! | [`sweep`] | all groups and zones at once: by lists, through the same reconciler and tracker; repairs on demand |
//! | [`inventory`] | what Azure says about permissions, zones, links, subnets and event subscriptions |
//! | [`doctor`] | a preflight: checks everything that this depends on |
//! | [`report`] | what became of an event |
//! | [`findings`] | what a sweep found, as table, diff and JSON |
//! | [`telemetry`] | one line per event; Application Insights; Log Analytics |
//! | [`host`], [`functions`] | the custom handler's protocol, and the functions wired to it |
//! | [`clock`] | the time, as simulations can set it |
//! | [`http_transport`], [`tokens`] | HTTP transport and access tokens, for [`arm`], [`storage_queue`] and [`telemetry`] |
//! | [`arm`] | client of Azure's REST API; with [`tokens`] and [`storage_queue`] the only user of the Azure SDK |
//! | [`storage_queue`] | client of a storage queue |
//! | [`simulator`] | server of the same API, in memory; shares no type with [`arm`] |
//! | [`demo`] | the simulator, the handler and everything between them in one process |
//! | [`replay`] | plays events against the simulator, or against a running handler |
//!
//! # Invariants
//!
//! * The pure modules (`text`, `resource_id`, `dns`, `container_group`, `event`, `config`, `desired`, `change`, `decide`,
//!   `failure`, `report`, `retry_message`, `findings`, `inventory`, and `doctor` but for what it gathers) do no I/O, are not `async`, do not log, and
//!   read neither clock nor environment.
//! * No modules import each other in a circle, and no pure module reaches an impure one through others.
//! * An event decides nothing but which group is looked at; an address is written only when it was read in the
//!   same pass; every write is conditional on what was read.
//! * There is no state between invocations but DNS itself and the retry queue, whose messages are never believed.
//! * Nothing that failed is answered 2xx before its work is stored in the retry queue.

pub mod arm;
pub mod change;
pub mod clock;
pub mod coalesce;
pub mod config;
pub mod container_group;
pub mod decide;
pub mod demo;
pub mod desired;
pub mod dns;
pub mod doctor;
pub mod drift;
pub mod driver;
pub mod environment;
pub mod event;
pub mod failure;
pub mod findings;
pub mod functions;
pub mod host;
pub mod http_transport;
pub mod inventory;
pub mod poison;
pub mod reconcile;
pub mod replay;
pub mod report;
pub mod resource_id;
pub mod retry;
pub mod retry_message;
pub mod simulator;
pub mod slot;
pub mod storage_queue;
pub mod sweep;
pub mod telemetry;
pub mod text;
pub mod tokens;
