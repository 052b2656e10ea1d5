// SPDX-License-Identifier: GPL-3.0-or-later
// Five hundred long polls at once over real connections: what they cost, who is told, who is not.
#include "services/local/server/http_server.h"
#include "services/local/server/router.h"
#include "services/local/trainer/future_table.h"
#include "tests/local/http_probe.h"
#include "tests/support/check.h"

#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace {

using desk::check::RawConnection;
using desk::local::FutureTable;
using namespace std::chrono_literals;

constexpr int kPolls = 500;

/// A line of /proc/self/status, in its own unit.
long statusOf(const std::string& name)
{
    std::ifstream file("/proc/self/status");
    for (std::string line; std::getline(file, line);)
        if (line.substr(0, name.size() + 1) == name + ":")
            return std::stol(line.substr(name.size() + 1));
    return -1;
}

/// A server with one route: it polls the table.
struct PollServer
{
    explicit PollServer(FutureTable::Timing timing = {})
    {
        auto listening = desk::local::HttpServer::listen({}, {},
            [this](
                const desk::local::HttpRequest& request, const desk::local::Responder& responder) {
                if (!table->poll(request.segments.at(0), responder, request.header("Accept")))
                    responder.send(desk::local::errorResponse(404, "no such request"));
            });
        CHECK(listening.has_value());
        server = std::move(*listening);
        table = std::make_unique<FutureTable>(
            [this](std::chrono::milliseconds delay, std::function<void()> run) {
                server->after(delay, std::move(run));
            },
            std::move(timing));
        server->start();
    }
    ~PollServer() { server->stop(); }

    std::unique_ptr<RawConnection> poll(const std::string& id) const
    {
        auto connection = std::make_unique<RawConnection>(server->port());
        CHECK(connection->isOpen());
        CHECK(connection->send("POST /" + id
            + " HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\nContent-Length: 0\r\n\r\n"));
        return connection;
    }
    void waitForWaiters(std::size_t count) const
    {
        for (int i = 0; i < 5000 && table->load().waiters != count; ++i)
            std::this_thread::sleep_for(1ms);
        CHECK_EQUAL(table->load().waiters, count);
    }
    std::unique_ptr<desk::local::HttpServer> server;
    std::unique_ptr<FutureTable> table;
};

TEST(five_hundred_parked_polls_cost_little_memory_and_no_thread)
{
    PollServer polls;
    std::vector<std::string> ids;
    for (int i = 0; i < kPolls; ++i)
        ids.push_back(polls.table->submit("m", i, 0).requestId);
    const auto memory = statusOf("VmRSS");
    const auto threads = statusOf("Threads");
    std::vector<std::unique_ptr<RawConnection>> clients;
    for (const auto& id : ids)
        clients.push_back(polls.poll(id));
    polls.waitForWaiters(kPolls);
    const auto parked = statusOf("VmRSS");
    std::printf("500 parked polls: VmRSS %ld kB before, %ld kB with them, %ld kB more\n", memory,
        parked, parked - memory);
    CHECK_EQUAL(statusOf("Threads"), threads);
    CHECK(parked - memory < 32 * 1024); // the clients' own buffers included
    for (const auto& id : ids)
        polls.table->succeed(id, R"({"metrics":{}})");
    for (auto& client : clients)
        CHECK_EQUAL(client->readReply().body, R"({"metrics":{}})");
    for (int i = 0; i < 5000 && polls.table->load().open != 0; ++i)
        std::this_thread::sleep_for(1ms);
    CHECK_EQUAL(polls.table->load().open, 0U); // all were delivered
}

TEST(P036_clients_that_hang_up_while_they_wait_are_noticed_and_get_it_later)
{
    PollServer polls;
    std::vector<std::string> ids;
    std::vector<std::unique_ptr<RawConnection>> clients;
    for (int i = 0; i < kPolls; ++i) {
        ids.push_back(polls.table->submit("m", i, 0).requestId);
        clients.push_back(polls.poll(ids.back()));
    }
    polls.waitForWaiters(kPolls);
    clients.resize(kPolls / 2); // the others are closed
    polls.waitForWaiters(kPolls / 2);
    for (const auto& id : ids)
        polls.table->succeed(id, R"({"metrics":{}})");
    for (auto& client : clients)
        CHECK_EQUAL(client->readReply().status, 200);
    for (int i = 0; i < 5000 && polls.table->load().open != kPolls / 2; ++i)
        std::this_thread::sleep_for(1ms);
    CHECK_EQUAL(polls.table->load().open, static_cast<std::size_t>(kPolls / 2));
    for (int i = kPolls / 2; i < kPolls; ++i)
        CHECK_EQUAL(polls.poll(ids[static_cast<std::size_t>(i)])->readReply().status, 200);
    CHECK_EQUAL(polls.poll("nobody")->readReply().status, 404);
}

TEST(a_hang_up_behind_a_pipelined_request_is_noticed_too)
{
    PollServer polls;
    const auto id = polls.table->submit("m", 1, 0).requestId;
    auto client = polls.poll(id);
    CHECK(client->send("POST /nobody HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"));
    polls.waitForWaiters(1);
    client.reset();
    polls.waitForWaiters(0);
}

TEST(a_pipelined_request_behind_a_parked_poll_is_answered_after_it)
{
    FutureTable::Timing timing;
    timing.hold = 50ms;
    PollServer polls(timing);
    const auto id = polls.table->submit("m", 1, 0).requestId;
    const auto client = polls.poll(id);
    CHECK(client->send("POST /nobody HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"));
    CHECK(client->readReply().body.find("try_again") != std::string::npos);
    CHECK_EQUAL(client->readReply().status, 404);
}

} // namespace

CHECK_MAIN()
