//! The one binary: `tradewind`.

mod auth;
mod dev;
mod logging;
mod run;
mod start_dev;

use clap::{Parser, Subcommand};
use std::io::Write;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Durable workflows from one binary: speaks the Temporal API, keeps everything it acknowledged.
#[derive(Debug, Parser)]
#[command(name = "tradewind", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a server here, with its data in ./.tradewind
    Dev(dev::Args),
    /// Run a server with the flags of the official CLI
    #[command(subcommand)]
    Server(ServerCommand),
    /// Print the default configuration file
    Config,
}

#[derive(Debug, Subcommand)]
enum ServerCommand {
    /// Run a server, in memory unless told otherwise
    StartDev(start_dev::Args),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Dev(args) => args.run(),
        Command::Server(ServerCommand::StartDev(args)) => args.run(),
        // A closed pipe (`tradewind config | head`) is not an error of ours.
        Command::Config => {
            let _ = std::io::stdout().write_all(server::config::DEFAULT.as_bytes());
            Ok(())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", told(&error));
            ExitCode::FAILURE
        }
    }
}

/// The error and its causes on one line, leaving out a cause that the error already quotes.
fn told(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}
