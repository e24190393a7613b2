//! `uk mcp`: serves an AI assistant.

use super::Command;
use crate::arguments::Args;
use crate::cli::{Caller, block_on};
use crate::error::CommandError;
use crate::mcp::door::Door;
use crate::mcp::{Server, serve_stdio};

pub(super) const COMMAND: Command = Command {
    about: "Serve an AI assistant over standard input and output (Model Context Protocol)",
    help: "An assistant starts it; each command that runs in the kernel is a tool, and tools that end or change what runs are \
           marked as destructive. Who may use the socket may do all. The same is served at `/mcp` over HTTP.\n\n\
           Example: {\"mcpServers\": {\"robot\": {\"command\": \"uk\", \"args\": [\"mcp\", \"--name\", \"robot\"]}}}",
    ..Command::local(&["mcp"], run)
};

fn run(caller: &Caller, _: &Args) -> Result<u8, CommandError> {
    let server = Server::new(Door::Socket(caller.kernel()?));
    block_on(serve_stdio(server))??;
    Ok(0)
}
