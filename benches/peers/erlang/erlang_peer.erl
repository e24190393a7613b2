%% The rows on Erlang/OTP: the loops of `measure/`, in Erlang, with the same lines on stdout.
%%
%% Tells and asks go to a plain process, the fastest that Erlang has; `gen_server_p50` and
%% `gen_server_p99` say what the usual one takes. Starts, restarts and crashes are OTP's `supervisor`.
%% Mailboxes have no bound, so producers wait: each has at most its share of 1,024 messages on the way,
%% as the consumer's answers to its marks tell. There is no outside of the runtime, hence no such row.
%% A critical message overtakes by selective receive, which looks through all that waits each time.
-module(erlang_peer).
-behaviour(supervisor).
-export([main/0, init/1, start_idle/0, idle/0, start_member/3, member/3]).
-export([consumer/2]).

-define(MAILBOX_CAPACITY, 1024).
-define(REPLY_TIMEOUT_MS, 1000).
-define(RESTARTS_MAX, 1000000).
-define(RESTART_PERIOD_S, 1).
-define(CHILDREN, 20000).
-define(BATCH_CHILDREN, 100000).
-define(WARM_UP_CHILDREN, 2000).
-define(IDLE_ACTORS, 100000).
-define(CROWD, 1000).
-define(WARM_UP_CROWDS, 2).
-define(WAITING, 10000).
-define(SLICE, 64).
-define(SAMPLES_MIN, 3).
-define(LOW_WORK_NS, 20000).

%% Started by `erl -s`, with the arguments after `-extra`.
main() ->
    logger:set_primary_config(level, none),
    ["--rows", Row, "--seconds", Seconds] = init:get_plain_arguments(),
    {_, Result} = spawn_monitor(fun() -> exit({done, rows(Row, nanoseconds(Seconds))}) end),
    receive
        {'DOWN', Result, process, _, {done, Rows}} ->
            lists:foreach(fun print/1, Rows),
            halt(0);
        {'DOWN', Result, process, _, Reason} ->
            io:format(standard_error, "~p~n", [Reason]),
            halt(1)
    end.

nanoseconds(Seconds) ->
    {Number, []} = case string:to_float(Seconds) of
        {error, no_float} -> string:to_integer(Seconds);
        Float -> Float
    end,
    round(Number * 1.0e9).

print({Row, Unit, Value, Extras}) ->
    Fields = [io_lib:format(",\"~s\":~.4f", [Name, float(Number)]) || {Name, Number} <- Extras],
    io:format("{\"framework\":\"erlang\",\"version\":\"OTP ~s\",\"row\":\"~s\",\"unit\":\"~s\",\"value\":~.4f~s}~n",
        [version(), Row, Unit, float(Value), Fields]).

version() ->
    Release = erlang:system_info(otp_release),
    File = filename:join([code:root_dir(), "releases", Release, "OTP_VERSION"]),
    case file:read_file(File) of
        {ok, Version} -> string:trim(Version);
        {error, _} -> Release
    end.

rows("tell_1_1", Time) -> [{tell_1_1, per_s, tells(1, Time), []}];
rows("tell_4_1", Time) -> [{tell_4_1, per_s, tells(4, Time), []}];
rows("ask", Time) -> asks(Time);
rows("spawn", Time) -> spawns(Time);
rows("batch", Time) -> batches(Time);
rows("group", Time) -> groups(Time);
rows("idle", _Time) -> idles();
rows("restart", Time) -> restarts(Time);
rows("crash", Time) -> crashes(Time);
rows("critical", Time) -> critical(Time);
rows(_, _) -> [].

now_ns() -> erlang:monotonic_time(nanosecond).

warm_up(Time) -> min(max(Time div 5, 50000000), 500000000).

%% Tells and asks

consumer(Count, Sum) ->
    receive
        Value when is_integer(Value) -> consumer(Count + 1, Sum + Value);
        {From, Ref} -> From ! {Ref, Count}, consumer(Count, Sum)
    end.

ask(Consumer) ->
    Ref = make_ref(),
    Consumer ! {self(), Ref},
    receive {Ref, Count} -> Count after ?REPLY_TIMEOUT_MS -> error(no_answer) end.

tells(Producers, Time) ->
    Consumer = spawn_link(?MODULE, consumer, [0, 0]),
    tell_for(Consumer, Producers, warm_up(Time)),
    {Messages, Elapsed} = tell_for(Consumer, Producers, Time),
    Messages * 1.0e9 / Elapsed.

tell_for(Consumer, Producers, Time) ->
    Before = ask(Consumer),
    Started = now_ns(),
    Half = ?MAILBOX_CAPACITY div Producers div 2,
    Tasks = [spawn_monitor(fun() -> exit({told, produce(Consumer, Half, Started + Time)}) end)
             || _ <- lists:seq(1, Producers)],
    Messages = lists:sum([receive {'DOWN', Task, _, _, {told, Told}} -> Told end || {_, Task} <- Tasks]),
    Messages = ask(Consumer) - Before,
    {Messages, now_ns() - Started}.

%% Two halves are on the way at most: the next one goes out when the last but one was handled.
produce(Consumer, Half, Deadline) ->
    Ref = make_ref(),
    Consumer ! {self(), Ref},
    produce(Consumer, Half, Deadline, Ref, 0).

produce(Consumer, Half, Deadline, Ref, Told) ->
    case now_ns() < Deadline of
        true ->
            tell(Consumer, Told, Told + Half),
            Consumer ! {self(), Ref},
            receive {Ref, _} -> ok end,
            produce(Consumer, Half, Deadline, Ref, Told + Half);
        false ->
            Told
    end.

tell(_, Told, Told) -> ok;
tell(Consumer, Value, End) -> Consumer ! Value, tell(Consumer, Value + 1, End).

asks(Time) ->
    Consumer = spawn_link(?MODULE, consumer, [0, 0]),
    Latencies = measure(fun() -> ask(Consumer) end, Time),
    {ok, Server} = gen_server:start_link(erlang_peer_server, [], []),
    Served = measure(fun() -> gen_server:call(Server, count, ?REPLY_TIMEOUT_MS) end, Time),
    [{Row, us, percentile_us(Latencies, Percent), [{Name, percentile_us(Served, Percent)}]}
     || {Row, Percent, Name} <- [{ask_p50, 50, gen_server_p50}, {ask_p99, 99, gen_server_p99}]].

measure(Ask, Time) ->
    until(now_ns() + warm_up(Time), fun() -> record(histogram(), Ask) end),
    Latencies = histogram(),
    until(now_ns() + Time, fun() -> record(Latencies, Ask) end),
    Latencies.

until(Deadline, Do) ->
    case now_ns() < Deadline of
        true -> Do(), until(Deadline, Do);
        false -> ok
    end.

%% Starts and stops

init({Flags, Children}) -> {ok, {Flags, Children}}.

supervisor(Children) ->
    Flags = #{strategy => one_for_one, intensity => ?RESTARTS_MAX, period => ?RESTART_PERIOD_S},
    {ok, Supervisor} = supervisor:start_link(?MODULE, {Flags, Children}),
    Supervisor.

stop(Supervisor) ->
    unlink(Supervisor),
    gen_server:stop(Supervisor).

idle_children(Count) ->
    [#{id => Number, start => {?MODULE, start_idle, []}} || Number <- lists:seq(1, Count)].

start_idle() -> proc_lib:start_link(?MODULE, idle, []).

idle() ->
    proc_lib:init_ack({ok, self()}),
    receive never -> ok end.

start_and_stop(Count) ->
    Children = idle_children(Count),
    Started = now_ns(),
    Supervisor = supervisor(Children),
    Stopping = now_ns(),
    stop(Supervisor),
    {Stopping - Started, now_ns() - Stopping}.

start_and_stop_batch(Count) ->
    Child = #{id => child, start => {?MODULE, start_idle, []}},
    Started = now_ns(),
    {ok, Supervisor} = supervisor:start_link(?MODULE, {#{strategy => simple_one_for_one}, [Child]}),
    [{ok, _} = supervisor:start_child(Supervisor, []) || _ <- lists:seq(1, Count)],
    Stopping = now_ns(),
    stop(Supervisor),
    {Stopping - Started, now_ns() - Stopping}.

spawns(Time) -> spawn_for(spawn_ordered, fun start_and_stop/1, ?CHILDREN, Time).

batches(Time) -> spawn_for(spawn_batch, fun start_and_stop_batch/1, ?BATCH_CHILDREN, Time).

%% The members say when they have started, the last one last.
restart_group(Count) ->
    Members = [#{id => Number, start => {?MODULE, start_member, [self(), Number, counters:new(1, [])]}}
               || Number <- lists:seq(1, Count)],
    Flags = #{strategy => one_for_all, intensity => ?RESTARTS_MAX, period => ?RESTART_PERIOD_S},
    {ok, Supervisor} = supervisor:start_link(?MODULE, {Flags, Members}),
    [{1, First} | _] = [next_life(Number) || Number <- lists:seq(1, Count)],
    Crashed = now_ns(),
    First ! crash,
    [next_life(Number) || Number <- lists:seq(1, Count)],
    Elapsed = now_ns() - Crashed,
    stop(Supervisor),
    Elapsed.

groups(Time) ->
    restart_group(?CROWD),
    Elapsed = groups_until(now_ns() + Time, []),
    [{group_1000, us, lists:nth(length(Elapsed) div 2 + 1, lists:sort(Elapsed)) / 1000, [{groups, length(Elapsed)}]}].

groups_until(End, Elapsed) ->
    case now_ns() >= End andalso Elapsed =/= [] of
        true -> Elapsed;
        false -> groups_until(End, [restart_group(?CROWD) | Elapsed])
    end.

spawn_for(Row, StartAndStop, Count, Time) ->
    StartAndStop(?WARM_UP_CHILDREN),
    {Children, Start, Stop} = spawn_for(StartAndStop, Count, Time, 0, 0, 0),
    PerSecond = fun(Elapsed) -> Children * 1.0e9 / Elapsed end,
    [{Row, per_s, PerSecond(Start + Stop),
      [{start_per_s, PerSecond(Start)}, {stop_per_s, PerSecond(Stop)}]}].

spawn_for(StartAndStop, Count, Time, Children, Start, Stop) when Start + Stop < Time ->
    {MoreStart, MoreStop} = StartAndStop(Count),
    spawn_for(StartAndStop, Count, Time, Children + Count, Start + MoreStart, Stop + MoreStop);
spawn_for(_, _, _, Children, Start, Stop) ->
    {Children, Start, Stop}.

idles() ->
    supervisor(idle_children(?WARM_UP_CHILDREN)),
    Before = resident_bytes(),
    supervisor(idle_children(?IDLE_ACTORS)),
    [{idle_bytes, bytes, (resident_bytes() - Before) / ?IDLE_ACTORS, [{actors, ?IDLE_ACTORS}]}].

resident_bytes() ->
    {ok, Status} = file:read_file("/proc/self/status"),
    {match, [Kilobytes]} = re:run(Status, "VmRSS:\\s*(\\d+) kB", [{capture, all_but_first, list}]),
    list_to_integer(Kilobytes) * 1024.

%% Crashes and restarts

crowd(Count) ->
    Supervisor = supervisor([#{id => Number, start => {?MODULE, start_member, [self(), Number, counters:new(1, [])]}}
                             || Number <- lists:seq(1, Count)]),
    {Supervisor, [next_life(Number) || Number <- lists:seq(1, Count)]}.

start_member(Owner, Number, Starts) -> proc_lib:start_link(?MODULE, member, [Owner, Number, Starts]).

%% Says where it is as it starts, which is the shortest way for the owner to learn of it.
member(Owner, Number, Starts) ->
    LivesBefore = counters:get(Starts, 1),
    counters:add(Starts, 1, 1),
    Owner ! {started, Number, self()},
    proc_lib:init_ack({ok, self()}),
    member(LivesBefore).

member(LivesBefore) ->
    receive
        crash -> error(crash_asked_for_by_the_benchmark);
        {From, Ref} -> From ! {Ref, LivesBefore}, member(LivesBefore)
    end.

next_life(Number) ->
    receive {started, Number, Pid} -> {Number, Pid} after ?REPLY_TIMEOUT_MS -> error(no_restart) end.

restarts(Time) ->
    {_, [Member]} = crowd(1),
    {Warm, Lives, _, _, _} = restart_for(Member, 0, warm_up(Time)),
    {_, _, All, First, Last} = restart_for(Warm, Lives, Time),
    Flat = percentile_us(Last, 50) / percentile_us(First, 50),
    [{restart_p50, us, percentile_us(All, 50), [{flat, Flat}]},
     {restart_p99, us, percentile_us(All, 99), []}].

restart_for(Member, Lives, Time) ->
    Started = now_ns(),
    Tenths = {Started + Time div 10, Started + Time div 10 * 9, Started + Time},
    restart_until(Tenths, Member, Lives, histogram(), histogram(), histogram()).

restart_until({Tenth, NineTenths, Deadline} = Tenths, {Number, Pid} = Member, Lives, All, First, Last) ->
    Told = now_ns(),
    case Told < Deadline of
        true ->
            Pid ! crash,
            {Number, Next} = next_life(Number),
            Expected = Lives + 1,
            Expected = ask(Next),
            Answered = now_ns(),
            add(All, Answered - Told),
            if
                Answered < Tenth -> add(First, Answered - Told);
                Answered > NineTenths -> add(Last, Answered - Told);
                true -> ok
            end,
            restart_until(Tenths, {Number, Next}, Expected, All, First, Last);
        false ->
            {Member, Lives, All, First, Last}
    end.

crashes(Time) ->
    [crash_at_once() || _ <- lists:seq(1, ?WARM_UP_CROWDS)],
    Bursts = histogram(),
    until(now_ns() + Time, fun() -> add(Bursts, crash_at_once()) end),
    [{crash_1000, per_s, ?CROWD * 1.0e6 / percentile_us(Bursts, 50), [{bursts, samples(Bursts)}]}].

crash_at_once() ->
    {Supervisor, Members} = crowd(?CROWD),
    Started = now_ns(),
    [Pid ! crash || {_, Pid} <- Members],
    [begin {_, Next} = next_life(Number), 1 = ask(Next) end || {Number, _} <- Members],
    Elapsed = now_ns() - Started,
    stop(Supervisor),
    Elapsed.

%% A critical message behind many low ones

critical(Time) ->
    Handled = atomics:new(1, []),
    Desk = spawn_link(fun() -> desk(Handled) end),
    Waits = histogram(),
    critical_until(now_ns() + Time, Desk, Handled, 0, Waits),
    [{critical_wait, us, percentile_us(Waits, 50), [{p99, percentile_us(Waits, 99)}, {samples, samples(Waits)}]}].

critical_until(Deadline, Desk, Handled, Told, Waits) ->
    case now_ns() < Deadline orelse samples(Waits) < ?SAMPLES_MIN of
        true ->
            Filled = fill(Desk, Handled, Told),
            Ref = make_ref(),
            Desk ! {critical, self(), Ref, now_ns()},
            receive {Ref, Wait} -> add(Waits, Wait) after 10 * ?REPLY_TIMEOUT_MS -> error(no_answer) end,
            critical_until(Deadline, Desk, Handled, Filled, Waits);
        false ->
            ok
    end.

fill(Desk, Handled, Told) ->
    case Told - atomics:get(Handled, 1) < ?WAITING of
        true ->
            [Desk ! low || _ <- lists:seq(1, ?SLICE)],
            fill(Desk, Handled, Told + ?SLICE);
        false ->
            Told
    end.

desk(Handled) ->
    receive
        {critical, From, Ref, Sent} -> From ! {Ref, now_ns() - Sent}
    after 0 ->
        receive
            {critical, From, Ref, Sent} -> From ! {Ref, now_ns() - Sent};
            low -> work(now_ns() + ?LOW_WORK_NS), atomics:add(Handled, 1, 1)
        end
    end,
    desk(Handled).

work(Deadline) ->
    case now_ns() < Deadline of
        true -> work(Deadline);
        false -> ok
    end.

%% Latencies in buckets of at most 0.8 % of their value, as in `measure/src/histogram.rs`

histogram() -> counters:new(58 * 128, []).

record(Histogram, Do) ->
    Asked = now_ns(),
    Do(),
    add(Histogram, now_ns() - Asked).

add(Histogram, Nanoseconds) -> counters:add(Histogram, bucket(Nanoseconds, 0) + 1, 1).

bucket(Upper, Octave) when Upper < 256 -> Octave * 128 + Upper;
bucket(Nanoseconds, Octave) -> bucket(Nanoseconds bsr 1, Octave + 1).

counts(Histogram) -> [counters:get(Histogram, Index) || Index <- lists:seq(1, 58 * 128)].

samples(Histogram) -> lists:sum(counts(Histogram)).

percentile_us(Histogram, Percent) ->
    Rank = max((samples(Histogram) * Percent + 99) div 100, 1),
    lower_edge(find(counts(Histogram), Rank, 0)) / 1000.

%% Without samples: the bucket of nothing.
find([], _, _) -> 0;
find([Count | _], Rank, Bucket) when Count >= Rank -> Bucket;
find([Count | Rest], Rank, Bucket) -> find(Rest, Rank - Count, Bucket + 1).

lower_edge(Bucket) ->
    Octave = max(Bucket div 128 - 1, 0),
    (Bucket - Octave * 128) bsl Octave.
