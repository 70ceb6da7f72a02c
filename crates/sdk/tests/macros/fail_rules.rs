//! What the attributes refuse. `//~ token => words` stands on the line of the complaint, and says what it points at.

use std::sync::Arc;
use tradewind::prelude::*;

#[activity]
async fn generic<T>(value: u8) -> Result<()> { Ok(()) } //~ T => it cannot be generic

#[activity]
async fn borrowed(text: &str) -> Result<()> { Ok(()) } //~ &str => use an owned type

#[activity]
async fn for_a_while<'a>(text: &'a str) -> Result<()> { Ok(()) } //~ 'a => use an owned type

#[activity]
async fn borrowed_inside(text: Option<&str>) -> Result<()> { Ok(()) } //~ & => use an owned type

#[activity]
async fn borrowed_perhaps(text: std::borrow::Cow<'_, str>) -> Result<()> { Ok(()) } //~ '_ => use an owned type

#[activity]
async fn anything(text: impl Into<String>) -> Result<()> { Ok(()) } //~ impl Into<String> => name their type

#[activity]
async fn no_result(text: String) {} //~ no_result => an activity returns `Result<T>`

#[activity]
fn not_async() -> Result<()> { Ok(()) } //~ fn => an activity is `async`; a plain function is #[activity(blocking)]

#[activity(blocking)]
async fn blocking_async() -> Result<()> { Ok(()) } //~ async => a blocking activity is a plain function

#[activity]
async fn with_self(&self) -> Result<()> { Ok(()) } //~ &self => outside an `impl` has no `self`

#[activity]
async unsafe fn dangerous() -> Result<()> { Ok(()) } //~ unsafe => cannot be unsafe

#[activity]
async fn nine(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8, i: u8) -> Result<()> { Ok(()) } //~ i: u8 => at most 8 arguments

#[activity(start_to_close_timeout = "5 minutes")] //~ "5 minutes" => is not a duration
async fn long_unit() -> Result<()> { Ok(()) }

#[activity(start_to_close_timeout = 300)] //~ 300 => a duration is text
async fn bare_number() -> Result<()> { Ok(()) }

#[activity(heartbeat_timeout = "0s")] //~ "0s" => is no time at all
async fn no_time() -> Result<()> { Ok(()) }

#[activity(max_attempts = 0)] //~ 0 => at least 1
async fn never() -> Result<()> { Ok(()) }

#[activity(max_attempts = "3")] //~ "3" => a whole number
async fn text_count() -> Result<()> { Ok(()) }

#[activity(backoff_coefficient = 0.5)] //~ 0.5 => at least 1.0
async fn shrinking() -> Result<()> { Ok(()) }

#[activity(rate_limit = 0)] //~ 0 => more than 0
async fn stopped() -> Result<()> { Ok(()) }

#[activity(non_retryable_errors = "Bad")] //~ "Bad" => a list
async fn one_error() -> Result<()> { Ok(()) }

#[activity(task_queue = "")] //~ "" => this is empty
async fn nowhere() -> Result<()> { Ok(()) }

#[activity(name = 7)] //~ 7 => a name is text
async fn numbered() -> Result<()> { Ok(()) }

#[activity(timeout = "5m")] //~ timeout => there is no option `timeout`; the options are name, start_to_close_timeout
async fn unknown_option() -> Result<()> { Ok(()) }

#[activity(local = true)] //~ true => it takes no value
async fn flag_with_value() -> Result<()> { Ok(()) }

#[activity(max_attempts)] //~ max_attempts => needs a value
async fn no_value() -> Result<()> { Ok(()) }

#[activity(max_attempts = 1, max_attempts = 2)] //~ max_attempts => is set twice
async fn twice() -> Result<()> { Ok(()) }

#[activity("charge")] //~ "charge" => write `name = "charge"`
async fn unnamed_option() -> Result<()> { Ok(()) }

#[activity(max_attempts: 3)] //~ : => write `max_attempts = ...`
async fn colon() -> Result<()> { Ok(()) }

#[activity(crate = "tradewind")] //~ "tradewind" => a path, such as
async fn crate_as_text() -> Result<()> { Ok(()) }

#[activity]
impl Mailer {} //~ impl Mailer {} => #[activities] goes on the `impl`

#[activities]
async fn alone() -> Result<()> { Ok(()) } //~ async fn alone() -> Result<()> { Ok(()) } => a function by itself is #[activity]

#[workflow]
fn plain_workflow() -> Result<()> { Ok(()) } //~ fn => a workflow is `async`

#[workflow]
struct NotCode; //~ struct NotCode; => #[workflow] goes on an async function, or on the `impl` of its state

#[workflow(heartbeat_timeout = "5m")] //~ heartbeat_timeout => there is no option
async fn activity_option() -> Result<()> { Ok(()) }

struct Mailer;

#[activities]
impl Mailer {
    #[activity]
    async fn change(&mut self) -> Result<()> { Ok(()) } //~ &mut self => take `&self`, and lock what changes
}

struct Empty;

#[activities]
impl Empty { //~ Empty => there is no method marked #[activity]
    fn helper(self: Arc<Self>) {}
}

struct NoEntry;

#[workflow]
impl NoEntry { //~ NoEntry => a workflow needs a method marked #[entrypoint]
    #[signal]
    fn poke(&mut self) {}
}

struct HeldSelf;

#[workflow]
impl HeldSelf {
    #[entrypoint]
    async fn run(&mut self) -> Result<()> { Ok(()) } //~ &mut self => take `this: This<Self>`
}

struct TwoEntries;

#[workflow]
impl TwoEntries {
    #[entrypoint]
    async fn one() -> Result<()> { Ok(()) }
    #[entrypoint] //~ #[entrypoint] => there is one already
    async fn two() -> Result<()> { Ok(()) }
}

struct TwoRoles;

#[workflow]
impl TwoRoles {
    #[signal]
    #[query] //~ #[query] => a method has one role
    fn both(&mut self) {}
}

struct Answers;

#[workflow]
impl Answers {
    #[entrypoint]
    async fn run() -> Result<()> { Ok(()) }
    #[signal]
    fn answered(&mut self) -> u8 { 0 } //~ u8 => make it an #[update]
}

struct Looks;

#[workflow]
impl Looks {
    #[entrypoint]
    async fn run() -> Result<()> { Ok(()) }
    #[query]
    fn changes(&mut self) -> u8 { 0 } //~ &mut self => a query looks, and changes nothing
}

struct Slow;

#[workflow]
impl Slow {
    #[entrypoint]
    async fn run() -> Result<()> { Ok(()) }
    #[query]
    async fn waits(&self) -> u8 { 0 } //~ async => a query answers at once
}

struct Unchecked;

#[workflow]
impl Unchecked {
    #[entrypoint]
    async fn run() -> Result<()> { Ok(()) }
    #[validator(missing)] //~ missing => there is no #[update] named `missing`
    fn check(&self) -> Result<()> { Ok(()) }
}

struct Early;

#[workflow]
impl Early {
    #[init]
    fn new(&self) -> Self { Early } //~ &self => it has no `self` yet
    #[entrypoint]
    async fn run() -> Result<()> { Ok(()) }
}

struct Unlike;

#[workflow]
impl Unlike {
    #[init]
    fn new(first: u8, second: u8) -> Self { Unlike } //~ new => #[init] takes what the entrypoint takes, 1 argument(s), or nothing
    #[entrypoint]
    async fn run(first: u8) -> Result<()> { Ok(()) }
}

struct Twins;

#[workflow]
impl Twins {
    #[entrypoint]
    async fn run() -> Result<()> { Ok(()) }
    #[signal]
    fn told(&mut self) {}
    #[signal(name = "told")]
    fn told_again(&mut self) {} //~ told_again => there is a signal named `told` already
}

struct Takes;

#[workflow]
impl Takes {
    #[entrypoint]
    async fn run() -> Result<()> { Ok(()) }
    #[update]
    fn add(&mut self, item: String) {}
    #[validator(add)]
    fn may_add(&self, item: String) -> Result<()> { Ok(()) } //~ String => take a reference
}

#[activity(local, rate_limit = 2)] //~ rate_limit => is for a task on the server, and an activity that is `local` has none
async fn limited_and_local() -> Result<()> { Ok(()) }

#[activity(task_queue = "gpu", local)] //~ task_queue => is for a task on the server
async fn elsewhere_and_local() -> Result<()> { Ok(()) }

#[activity]
fn declared_not_async() -> Result<()>; //~ fn => an activity is `async`

#[activity(max_attempts = 2, blocking)] //~ blocking => this one runs elsewhere: it has no body
fn declared_blocking() -> Result<()>;

#[activity(local)] //~ local => this one runs elsewhere: it has no body
async fn declared_local() -> Result<()>;

#[activity(rate_limit = 2)] //~ rate_limit => this one runs elsewhere: it has no body
async fn declared_limited() -> Result<()>;

#[workflow]
async fn declared_borrowed(text: &str) -> Result<()>; //~ &str => use an owned type

struct DeclaredMethod;

#[activities]
impl DeclaredMethod {
    #[activity]
    async fn declared(&self) -> Result<()>; //~ declared => has no state here: declare it as a function
}

struct DeclaredButFor;

#[workflow]
impl DeclaredButFor {
    #[entrypoint]
    async fn run() -> Result<()>;
    #[signal]
    fn told(&mut self) {} //~ told => write `;` for this body too
}

struct DeclaredWithInit;

#[workflow]
impl DeclaredWithInit {
    #[entrypoint]
    async fn run() -> Result<()>;
    #[init]
    fn new() -> Self { DeclaredWithInit } //~ new => this belongs to the workflow's code, which is elsewhere
}

#[derive(Default)]
struct HereButFor;

#[workflow]
impl HereButFor {
    #[entrypoint]
    async fn run() -> Result<()> { Ok(()) }
    #[signal]
    fn told(&mut self); //~ told => and this needs one too
}

fn main() {}
