"""Drives a kernel by the official client of the Model Context Protocol, and prints what it found as JSON.

    client.py stdio UK SOCKET
    client.py http SOCKET
"""

import asyncio
import json
import sys

import httpx2
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client


async def drive(session):
    found = {}
    started = await session.initialize()
    found["server"] = started.server_info.name
    tools = {tool.name: tool for tool in (await session.list_tools()).tools}
    found["tools"] = sorted(tools)
    found["kill"] = tools["kill"].model_dump(mode="json", by_alias=True, exclude_none=True)
    found["tree_hints"] = tools["tree"].annotations.model_dump(mode="json", by_alias=True, exclude_none=True)

    tree = await session.call_tool("tree", {})
    found["tree"] = {"error": tree.is_error, "node": tree.structured_content["node"], "text": tree.content[0].text}
    killed = await session.call_tool("kill", {"path": "/a", "reason": "by an assistant"})
    found["killed"] = killed.structured_content
    logs = await session.call_tool("logs", {"path": "/a"})
    found["logs"] = logs.structured_content["documents"]
    wrong = await session.call_tool("kill", {"path": "/nowhere"})
    found["wrong"] = {"error": wrong.is_error, "text": wrong.content[0].text}
    typo = await session.call_tool("kill", {"paht": "/a"})
    found["typo"] = {"error": typo.is_error, "text": typo.content[0].text}

    found["resources"] = [str(resource.uri) for resource in (await session.list_resources()).resources]
    why = await session.read_resource("uk://why/a")
    found["why"] = json.loads(why.contents[0].text)
    return found


async def main():
    if sys.argv[1] == "stdio":
        server = StdioServerParameters(command=sys.argv[2], args=["mcp", "--socket", sys.argv[3]])
        async with stdio_client(server) as (reader, writer), ClientSession(reader, writer) as session:
            print(json.dumps(await drive(session)))
    else:
        transport = httpx2.AsyncHTTPTransport(uds=sys.argv[2])
        async with (
            httpx2.AsyncClient(transport=transport, timeout=30) as http,
            streamable_http_client("http://kernel/mcp", http_client=http) as (reader, writer),
            ClientSession(reader, writer) as session,
        ):
            print(json.dumps(await drive(session)))


asyncio.run(main())
