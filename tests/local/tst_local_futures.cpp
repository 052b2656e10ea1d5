// SPDX-License-Identifier: GPL-3.0-or-later
// Futures and the queue of a model, without a server.
#include "services/local/trainer/future_table.h"
#include "services/local/trainer/model_worker.h"
#include "services/local/trainer/turn_gate.h"
#include "tests/support/check.h"

#include <atomic>
#include <future>
#include <memory>
#include <thread>
#include <vector>

namespace {

using desk::local::FutureTable;
using desk::local::HttpResponse;
using desk::local::ModelWorker;
using desk::local::Presence;
using desk::local::TurnGate;
using namespace std::chrono_literals;

/// A table whose clock only moves when told, and clients that may hang up.
struct TableFixture
{
    explicit TableFixture(FutureTable::Timing timing = {})
        : table([this](std::chrono::milliseconds,
                    std::function<void()> run) { later.push_back(std::move(run)); },
            timed(std::move(timing)))
    {
    }
    FutureTable::Timing timed(FutureTable::Timing timing)
    {
        timing.now = [this] { return now; };
        return timing;
    }
    /// Polls; the answer appears in `answers`. A client that does not read is never delivered to.
    bool poll(const std::string& id, std::string_view accept = {}, bool reads = true,
        std::shared_ptr<Presence> presence = {})
    {
        return table.poll(id,
            desk::local::makeResponder(
                [this, reads](HttpResponse response, bool isDropped) {
                    if (isDropped)
                        return;
                    answers.push_back(response.body);
                    types.push_back(response.contentType);
                    if (reads && response.onDelivered)
                        response.onDelivered();
                },
                std::move(presence)),
            accept);
    }
    FutureTable::Clock::time_point now = FutureTable::Clock::time_point {} + 1000h;
    std::vector<std::function<void()>> later;
    std::vector<std::string> answers;
    std::vector<std::string> types;
    FutureTable table;
};

TEST(a_poll_waits_for_the_result_and_every_poll_gets_it)
{
    TableFixture fixture;
    const auto ticket = fixture.table.submit("m", 1, 7);
    CHECK(ticket.isNew);
    CHECK(fixture.poll(ticket.requestId));
    CHECK(fixture.poll(ticket.requestId));
    CHECK_EQUAL(fixture.answers.size(), 0U);
    fixture.table.succeed(ticket.requestId, R"({"metrics":{}})");
    CHECK(fixture.poll(ticket.requestId));
    CHECK_EQUAL(fixture.answers.size(), 3U);
    for (const auto& answer : fixture.answers)
        CHECK_EQUAL(answer, R"({"metrics":{}})");
    for (const auto& run : fixture.later)
        run(); // the end of the hold time finds nobody waiting
    CHECK_EQUAL(fixture.answers.size(), 3U);
}

TEST(a_long_wait_is_told_to_try_again)
{
    TableFixture fixture;
    const auto ticket = fixture.table.submit("m", 1, 7);
    CHECK(fixture.poll(ticket.requestId));
    fixture.later.at(0)();
    CHECK_EQUAL(fixture.answers.size(), 1U);
    CHECK(fixture.answers[0].find("try_again") != std::string::npos);
    fixture.table.fail(ticket.requestId, "no", "user");
    CHECK_EQUAL(fixture.answers.size(), 1U);
    CHECK(fixture.poll(ticket.requestId));
    CHECK(fixture.answers[1].find(R"("category":"user")") != std::string::npos);
}

TEST(one_number_is_one_request)
{
    TableFixture fixture;
    const auto first = fixture.table.submit("m", 1, 7);
    const auto again = fixture.table.submit("m", 1, 7);
    CHECK_EQUAL(again.requestId, first.requestId);
    CHECK(!again.isNew && !again.isOtherRequest);
    CHECK(fixture.table.submit("m", 1, 8).isOtherRequest);
    CHECK(fixture.table.submit("n", 1, 8).isNew);
}

TEST(ids_of_another_process_are_unknown)
{
    TableFixture first;
    TableFixture second;
    const auto ticket = first.table.submit("m", 1, 7);
    CHECK(!second.poll(ticket.requestId));
    CHECK(!first.poll("nonsense"));
}

TEST(the_end_of_a_model_fails_what_is_pending)
{
    TableFixture fixture;
    const auto done = fixture.table.submit("m", 1, 0);
    const auto open = fixture.table.submit("m", 2, 0);
    fixture.table.succeed(done.requestId, "{}");
    fixture.table.failPending("m", "unloaded", "user");
    CHECK(fixture.poll(done.requestId));
    CHECK(fixture.poll(open.requestId));
    CHECK_EQUAL(fixture.answers[0], "{}");
    CHECK(fixture.answers[1].find("unloaded") != std::string::npos);
}

TEST(a_result_goes_out_in_the_form_that_the_poller_takes)
{
    TableFixture fixture;
    const auto ticket = fixture.table.submit("m", 1, 7);
    CHECK(fixture.poll(ticket.requestId, "application/x-protobuf"));
    CHECK(fixture.poll(ticket.requestId, "application/json"));
    fixture.table.succeed(ticket.requestId, desk::local::FutureResult { "{}", "bytes" });
    CHECK(fixture.poll(ticket.requestId, "application/x-protobuf, application/json"));
    CHECK(fixture.answers == std::vector<std::string>({ "bytes", "{}", "bytes" }));
    CHECK_EQUAL(fixture.types[0], "application/x-protobuf");
    CHECK_EQUAL(fixture.types[1], "application/json");
    // A result without the form, and a failure, are JSON for everybody.
    const auto step = fixture.table.submit("m", 2, 7);
    fixture.table.succeed(step.requestId, R"({"metrics":{}})");
    const auto failed = fixture.table.submit("m", 3, 7);
    fixture.table.fail(failed.requestId, "no", "user");
    CHECK(fixture.poll(step.requestId, "application/x-protobuf"));
    CHECK(fixture.poll(failed.requestId, "application/x-protobuf"));
    CHECK_EQUAL(fixture.types[3], "application/json");
    CHECK_EQUAL(fixture.answers[4], R"({"error":"no","category":"user"})");
}

// Field case P036: the server hands the result to a connection that is dead.
TEST(P036_an_abandoned_poll_is_no_delivery_and_500_results_wait_for_the_next_one)
{
    TableFixture fixture;
    std::vector<std::string> ids;
    for (int i = 0; i < 500; ++i) {
        const auto ticket = fixture.table.submit("m", i, 0);
        ids.push_back(ticket.requestId);
        const auto presence = std::make_shared<Presence>();
        CHECK(fixture.poll(ticket.requestId, {}, true, presence));
        if (i % 2 == 0)
            presence->leave(); // gone while it waited
    }
    CHECK_EQUAL(fixture.table.load().waiters, 250U);
    for (const auto& id : ids)
        fixture.table.succeed(id, R"({"metrics":{}})");
    CHECK_EQUAL(fixture.answers.size(), 250U);
    CHECK_EQUAL(fixture.table.load().open, 250U); // neither was delivered to
    const auto ready = fixture.now;
    for (const auto wait : { 121s, 250s }) {
        fixture.now = ready + wait;
        fixture.answers.clear();
        for (const auto& id : ids) // answered into a connection that is closed already
            CHECK(fixture.poll(id, {}, false));
        CHECK_EQUAL(fixture.answers.size(), 500U);
    }
    // Those that were delivered at first have been kept for five minutes now, and may go.
    fixture.now = ready + 301s;
    fixture.table.sweep();
    CHECK_EQUAL(fixture.table.load().futures, 250U);
    for (std::size_t i = 0; i < ids.size(); ++i)
        CHECK_EQUAL(fixture.poll(ids[i]), i % 2 == 0);
    fixture.now += 299s;
    fixture.table.sweep();
    CHECK_EQUAL(fixture.table.load().futures, 250U);
    fixture.now += 2s;
    fixture.table.sweep();
    const auto load = fixture.table.load();
    CHECK_EQUAL(load.futures, 0U);
    CHECK_EQUAL(load.bytes, 0U);
    CHECK_EQUAL(load.open, 0U);
}

TEST(what_nobody_fetches_goes_after_an_hour)
{
    TableFixture fixture;
    const auto ticket = fixture.table.submit("m", 1, 0);
    fixture.table.succeed(ticket.requestId, "{}");
    fixture.now += 59min;
    CHECK(fixture.poll(ticket.requestId, {}, false));
    fixture.now += 2min;
    fixture.table.sweep();
    CHECK(!fixture.poll(ticket.requestId));
}

TEST(memory_is_bounded_by_refusing_new_work_never_by_forgetting)
{
    FutureTable::Timing timing;
    timing.keepBytes = 1000;
    timing.maxBytes = 5000;
    timing.maxOpen = 100;
    TableFixture fixture(timing);
    std::vector<std::string> ids;
    for (int i = 0; i < 20; ++i) {
        const auto ticket = fixture.table.submit("m", i, 0);
        if (ticket.isFull)
            break;
        fixture.table.succeed(ticket.requestId, std::string(400, 'x'));
        ids.push_back(ticket.requestId);
    }
    CHECK_EQUAL(ids.size(), 13U); // 13 x 400 is the first sum above the bound
    CHECK(!fixture.table.submit("m", 3, 0).isFull); // a repeated request is no new one
    for (const auto& id : ids)
        CHECK(fixture.poll(id));
    fixture.now += 119s;
    fixture.table.sweep();
    CHECK_EQUAL(fixture.table.load().futures, 13U); // the slowest retry may still come
    fixture.now += 3s;
    fixture.table.sweep();
    CHECK(fixture.table.load().bytes <= 1000U);
    CHECK(fixture.table.submit("m", 20, 0).isNew);
    for (int i = 100; i < 200; ++i)
        (void)fixture.table.submit("m", i, 0);
    CHECK(fixture.table.submit("m", 300, 0).isFull);
}

TEST(a_canceled_future_fails_and_its_work_is_dropped_once)
{
    TableFixture fixture;
    int dropped = 0;
    const auto ticket = fixture.table.submit("s", 1, 0);
    fixture.table.onCanceled(ticket.requestId, [&] { ++dropped; });
    CHECK(fixture.poll(ticket.requestId));
    CHECK(fixture.table.cancel(ticket.requestId));
    CHECK(fixture.table.cancel(ticket.requestId));
    CHECK(!fixture.table.cancel("nobody"));
    CHECK_EQUAL(dropped, 1);
    CHECK(fixture.answers.at(0).find("canceled") != std::string::npos);
    fixture.table.succeed(ticket.requestId, "{}"); // the first end counts
    CHECK(fixture.poll(ticket.requestId));
    CHECK(fixture.answers.at(1).find("canceled") != std::string::npos);
    const auto done = fixture.table.submit("s", 2, 0);
    fixture.table.onCanceled(done.requestId, [&] { ++dropped; });
    fixture.table.succeed(done.requestId, "{}");
    CHECK(fixture.table.cancel(done.requestId));
    CHECK_EQUAL(dropped, 1);
}

TEST(an_answer_that_says_not_yet_carries_the_state_of_the_queue)
{
    TableFixture fixture;
    fixture.table.setQueueProbe([](const std::string& owner) {
        return FutureTable::Queue { "paused_capacity", owner + " waits" };
    });
    const auto ticket = fixture.table.submit("m", 1, 0);
    CHECK(fixture.poll(ticket.requestId));
    fixture.later.at(0)();
    CHECK(fixture.answers.at(0).find(
              R"("queue_state":"paused_capacity","queue_state_reason":"m waits")")
        != std::string::npos);
}

TEST(a_model_with_a_long_queue_and_one_with_a_single_call_alternate)
{
    TurnGate gate;
    std::vector<std::string> order;
    std::mutex mutex;
    auto first = gate.take("first", {});
    std::thread busy([&] {
        for (int i = 0; i < 50; ++i) {
            const auto turn = gate.take("busy", {});
            const std::scoped_lock lock(mutex);
            order.push_back("busy");
        }
    });
    while (!gate.waiting("busy"))
        std::this_thread::yield();
    std::thread single([&] {
        const auto turn = gate.take("single", {});
        const std::scoped_lock lock(mutex);
        order.push_back("single");
    });
    while (!gate.waiting("single"))
        std::this_thread::yield();
    CHECK_EQUAL(gate.waiting("single")->before, 2U);
    CHECK(!gate.waiting("nobody"));
    {
        const auto released = std::move(first);
    }
    busy.join();
    single.join();
    CHECK_EQUAL(order.size(), 51U);
    CHECK_EQUAL(order.at(1), "single"); // behind the one call that came before
}

TEST(waiting_for_a_turn_ends_with_the_model)
{
    TurnGate gate;
    const auto held = gate.take("held", {});
    std::stop_source stop;
    std::thread waiting([&] { CHECK(!gate.take("waiting", stop.get_token())); });
    while (!gate.waiting("waiting"))
        std::this_thread::yield();
    stop.request_stop();
    waiting.join();
    CHECK(!gate.waiting("waiting"));
}

/// Order in which numbered work ran.
struct Recorder
{
    ModelWorker::Work work(int number)
    {
        return [this, number](const std::stop_token&) { order.push_back(number); };
    }
    std::vector<int> order;
};

TEST(chunks_run_by_number_and_barriers_where_they_arrived)
{
    Recorder recorder;
    ModelWorker worker(std::chrono::seconds(10));
    std::promise<void> done;
    worker.push(3, false, recorder.work(3));
    worker.push(2, false, recorder.work(2));
    worker.push(1, false, recorder.work(1));
    worker.push(4, true, recorder.work(4));
    worker.push(6, false, recorder.work(6));
    worker.push(5, false, recorder.work(5));
    worker.push(7, true, [&](const std::stop_token&) { done.set_value(); });
    done.get_future().wait();
    CHECK(recorder.order == std::vector<int>({ 1, 2, 3, 4, 5, 6 }));
}

TEST(a_gap_does_not_stall_the_queue)
{
    Recorder recorder;
    ModelWorker worker(std::chrono::milliseconds(1));
    std::promise<void> done;
    worker.push(5, false, recorder.work(5)); // 1 to 4 were refused and never come
    worker.push(6, false, [&](const std::stop_token&) { done.set_value(); });
    done.get_future().wait();
    CHECK(recorder.order == std::vector<int>({ 5 }));
}

TEST(stopping_interrupts_the_work_in_hand_and_drops_the_rest)
{
    Recorder recorder;
    ModelWorker worker;
    std::promise<void> started;
    worker.push(1, true, [&](const std::stop_token& stop) {
        started.set_value();
        while (!stop.stop_requested())
            std::this_thread::yield();
    });
    worker.push(2, true, recorder.work(2));
    started.get_future().wait();
    worker.stop();
    CHECK_EQUAL(recorder.order.size(), 0U);
}

} // namespace

CHECK_MAIN()
