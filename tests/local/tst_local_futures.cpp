// SPDX-License-Identifier: GPL-3.0-or-later
// Futures and the queue of a model, without a server.
#include "services/local/trainer/future_table.h"
#include "services/local/trainer/model_worker.h"
#include "tests/support/check.h"

#include <future>
#include <vector>

namespace {

using desk::local::FutureTable;
using desk::local::HttpResponse;
using desk::local::ModelWorker;

struct TableFixture
{
    TableFixture()
        : table([this](std::chrono::milliseconds,
                    std::function<void()> run) { later.push_back(std::move(run)); },
            FutureTable::Timing {})
    {
    }
    /// Polls; the answer appears in `answers`.
    bool poll(const std::string& id)
    {
        return table.poll(id, desk::local::makeResponder([this](HttpResponse response, bool) {
            answers.push_back(response.body);
        }));
    }
    std::vector<std::function<void()>> later;
    std::vector<std::string> answers;
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
