%% What `erlang_peer` asks beside the plain process: a server as most are written.
-module(erlang_peer_server).
-behaviour(gen_server).
-export([init/1, handle_call/3, handle_cast/2]).

init([]) -> {ok, 0}.

handle_call(count, _From, Count) -> {reply, Count, Count}.

handle_cast(Value, Count) when is_integer(Value) -> {noreply, Count + 1}.
