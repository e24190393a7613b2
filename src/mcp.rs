//! The kernel for AI assistants: the commands as tools of the Model Context Protocol, and what they read most as resources.
//!
//! Everything is made of the table of commands: a tool is a command that runs in the kernel, its schema is that of its
//! arguments. This file and its folder are the home of `rmcp`. `uk mcp` serves one assistant over standard input and output
//! and asks the kernel over its socket; `/mcp` serves many over HTTP, inside of the kernel, without sessions.

use std::sync::Arc;

use rmcp::handler::server::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation,
    ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
    ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult, ResourceContents,
    ServerCapabilities, ServerConfig,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServiceExt};

use self::door::Door;
use crate::commands::Command;
use crate::error::{Code, CommandError};
use crate::rights::Who;
use crate::screen::Screen;

pub(crate) mod door;
pub(crate) mod http;
mod resources;
mod tools;

/// What an assistant is told first.
const INSTRUCTIONS: &str = "UnityKernel keeps AI and robot systems running: a tree of supervised actors. Begin with `health` and \
    `crashes`; `why` explains one actor and ends with a suggestion. Tools that are marked destructive end or change what \
    runs: ask the person first.";
/// How wide answers are drawn.
const WIDTH: usize = 100;

/// One assistant's view of a kernel.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    door: Door,
}

impl Server {
    /// Of the kernel behind this door.
    pub(crate) fn new(door: Door) -> Self {
        Self { door }
    }

    /// Whether `who` may run a command: a tool that they may not run is not listed. The socket finds out by itself who it is.
    fn may(&self, who: Option<&Who>, command: &Command) -> bool {
        match &self.door {
            Door::Socket(_) => true,
            Door::Inside(_) => who.is_some_and(|who| who.may_use(command).is_ok()),
        }
    }

    async fn run(
        &self,
        request: CallToolRequestParams,
        who: Option<&Who>,
    ) -> Result<CallToolResult, ErrorData> {
        let mut commands = tools::commands();
        let command =
            commands.find(|command| tools::name(command) == request.name && self.may(who, command));
        let Some(command) = command else {
            let message = format!("there is no tool `{}`", request.name);
            return Err(ErrorData::invalid_params(message, None));
        };
        let given = request.arguments.unwrap_or_default();
        let done = match command.read_json(given) {
            Ok(args) => self.door.call(command, &args, who).await,
            Err(error) => Err(error),
        };
        Ok(match done {
            Ok(answer) => {
                let mut result = CallToolResult::structured(answer.document);
                let drawn: String = answer
                    .parts
                    .iter()
                    .map(|part| command.draw(part, &Screen::plain(WIDTH)))
                    .collect();
                result.content = vec![ContentBlock::text(drawn)];
                result
            }
            Err(error) => failed(&error),
        })
    }
}

/// Who sends a request over HTTP, as its way in has found out.
fn who_of(context: &RequestContext<RoleServer>) -> Option<Arc<Who>> {
    let parts = context.extensions.get::<axum::http::request::Parts>()?;
    parts.extensions.get::<Arc<Who>>().cloned()
}

/// A command that was not done, so that the assistant sees why and what would fit.
fn failed(error: &CommandError) -> CallToolResult {
    let mut result = CallToolResult::structured_error(error.to_json());
    result.content = vec![ContentBlock::text(error.render(false))];
    result
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_resources()
            .build();
        let mut info = ServerConfig::new(capabilities);
        info.server_info = Implementation::new("unity-kernel", env!("CARGO_PKG_VERSION"));
        info.instructions = Some(INSTRUCTIONS.to_owned());
        info
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let who = who_of(&context);
        let commands = tools::commands().filter(|command| self.may(who.as_deref(), command));
        Ok(ListToolsResult::with_all_items(
            commands.map(tools::of).collect(),
        ))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let who = who_of(&context);
        Ok(self.run(request, who.as_deref()).await?.into())
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let who = who_of(&context);
        let resources = resources::all(&self.door, who.as_deref())
            .await
            .map_err(of_command)?;
        Ok(ListResourcesResult::with_all_items(resources))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(ListResourceTemplatesResult::with_all_items(vec![
            resources::why(),
        ]))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let who = who_of(&context);
        let uri = request.uri;
        let Some((command, args)) = resources::find(&uri) else {
            let message = format!("there is no resource `{uri}`");
            return Err(ErrorData::resource_not_found(message, None));
        };
        let answer = self.door.call(command, &args, who.as_deref()).await;
        let answer = answer.map_err(of_command)?;
        let text = ResourceContents::text(answer.document.to_string(), uri)
            .with_mime_type("application/json");
        Ok(ReadResourceResult::new(vec![text]).into())
    }
}

fn of_command(error: CommandError) -> ErrorData {
    let data = Some(error.to_json());
    let message = error.to_string();
    match error.code {
        Code::NotFound => ErrorData::resource_not_found(message, data),
        Code::Usage | Code::Conflict => ErrorData::invalid_params(message, data),
        _ => ErrorData::internal_error(message, data),
    }
}

/// Serves the assistant at the other end of standard input and output, until it closes them.
///
/// # Errors
/// It does not speak the protocol.
pub(crate) async fn serve_stdio(server: Server) -> Result<(), CommandError> {
    let failed = |error: &dyn std::fmt::Display| {
        CommandError::new(Code::Failed, format!("no assistant was served: {error}"))
            .hint("an assistant starts `uk mcp` itself: name it in its configuration")
    };
    let serving = server.serve(rmcp::transport::stdio()).await;
    let serving = serving.map_err(|error| failed(&error))?;
    serving.waiting().await.map_err(|error| failed(&error))?;
    Ok(())
}
