//! What the compiler refuses with words of ours. `//~ token => words` stands on the line of the complaint.

use tradewind::prelude::*;

struct Opaque;

#[activity]
async fn not_a_result() -> String { String::new() } //~ String => returns `Result<T>`, not `String`

#[activity]
async fn not_a_value(argument: Opaque) -> Result<()> { Ok(()) } //~ Opaque => `Opaque` cannot be an argument or a result

fn main() {}
