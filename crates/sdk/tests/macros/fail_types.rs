//! What the compiler refuses with words of ours. `//~ token => words` stands on the line of the complaint.

use tradewind::prelude::*;

struct Opaque;

#[activity]
async fn not_a_result() -> String { String::new() } //~ String => return `Result<T>`, not `String`

#[activity]
async fn not_a_value(argument: Opaque) -> Result<()> { Ok(()) } //~ Opaque => `Opaque` cannot be an argument or a result

#[activity]
async fn no_value_comes_out() -> Result<Opaque> { Ok(Opaque) } //~ Result => `Opaque` cannot be an argument or a result

#[derive(Default)]
struct Handles;

#[workflow]
impl Handles {
    #[entrypoint]
    async fn run() -> Result<()> { Ok(()) }
    #[signal]
    fn told(&mut self, what: Opaque) { drop(what); } //~ Opaque => `Opaque` cannot be an argument or a result
    #[query]
    fn shown(&self) -> Opaque { Opaque } //~ Opaque => `Opaque` cannot be an argument or a result
    #[update]
    fn changed(&mut self, count: u8, what: Opaque) {} //~ Opaque => `Opaque` cannot be an argument or a result
    #[validator(changed)]
    fn verdict(&self, count: &u8, what: &Opaque) -> bool { true } //~ bool => return `Result<T>`, not `bool`
}

struct Mailer;

#[activities]
impl Mailer {
    #[activity]
    async fn send(&self) -> Result<()> { Ok(()) }
}

async fn plain() -> Result<()> { Ok(()) }

#[activity]
async fn declared() -> Result<()>;

#[workflow]
async fn declared_workflow() -> Result<()>;

fn registers(worker: tradewind::worker::Builder) -> tradewind::worker::Builder {
    let worker = worker.activity(plain); //~ plain => this is no activity
    let worker = worker.workflow(Handles::told); //~ Handles::told => this is no workflow
    let worker = worker.activity(declared); //~ declared => `declared` runs elsewhere: it was declared without a body
    let worker = worker.workflow(declared_workflow); //~ declared_workflow => `declared_workflow` runs elsewhere: it was declared without a body
    worker.activity(Mailer::send) //~ Mailer::send => this activity is a method of `Mailer`
}

fn main() {}
