//! Keeps Private DNS correct for Azure Container Instances.
//!
//! A container group in a virtual network is reachable only by a private address that changes at every restart,
//! redeployment or platform move, and Private DNS never registers it. This crate is an Azure Functions *custom
//! handler*: on ARM lifecycle events from Event Grid it corrects the A record set in the forward zone and the PTR
//! record set in the reverse zone (`function_aci_reconcile`, the only writer), and reports differences between DNS and
//! the live group (`function_drift_tracker`, which has no write access).
//!
//! # Modules, in reading order
//!
//! An invocation of the Functions host ([`functions`]) carries an event ([`domain::event`]), which names a container
//! group. [`config`] determines the zones that serve it. The driver ([`reconcile::driver`]) asks [`decide()`](decide::decide) for the
//! next step, executes it, and lets the facts learn the answers, until the step is a verdict. The report
//! ([`decide::report`]) goes to [`telemetry`] and back to the host.
//!
//! Each module imports only from those above it in this table.
//!
//! | module | contents |
//! |---|---|
//! | [`domain`] | values: resource ids, names and record sets, container groups, events |
//! | [`config`] | settings, and the map from container groups to zones |
//! | [`environment`] | the variables of this process, and the files that they name |
//! | [`decide`] | the decision: facts in; what to read, what to write, or the verdict out; desired records, changes, reports |
//! | [`azure`] | clients of Resource Manager, of a storage queue and of key vaults; HTTP transport, access tokens; the only user of the Azure SDK |
//! | [`reconcile`] | one invocation: deadline, shared runs, the driver (the only writer of records), the retry queue |
//! | [`drift`] | compares, and reports |
//! | [`sweep`] | all groups and zones at once, by lists; repairs on demand |
//! | [`doctor`] | a preflight: checks everything that the handler depends on |
//! | [`resolve`] | queries DNS servers like a client |
//! | [`telemetry`] | one line per event; Application Insights; Log Analytics |
//! | [`functions`] | the protocol of custom handlers, and the functions |
//! | [`replay`] | plays events against the simulator (crate `azure_simulator`), or against a running handler |
//! | [`demo`] | the simulator, the handler, and the services between them, in one process |
//!
//! # Invariants
//!
//! * [`domain`], [`config`] and [`decide`], and the pure parts of other modules (`retry::message`, `sweep::findings`, the
//!   checks of [`doctor`]), do no I/O, are not `async`, do not log, and read neither clock nor environment.
//! * No modules import each other in a circle, and no pure module reaches an impure one through others.
//! * An event only selects the group. An address is written only when the same pass has read it. Every write is conditional
//!   on what was read.
//! * Between invocations, state exists only in DNS and in the retry queue. The content of a message only selects the group,
//!   too.
//! * A failure is answered 2xx only after its work is stored in the retry queue.

pub mod azure;
pub mod config;
pub mod decide;
pub mod demo;
pub mod doctor;
pub mod domain;
pub mod drift;
pub mod environment;
pub mod functions;
pub mod reconcile;
pub mod replay;
pub mod resolve;
pub mod sweep;
pub mod telemetry;
