// SPDX-License-Identifier: GPL-3.0-or-later
// Limits and framing of the HTTP server, seen from raw sockets.
#include "services/local/server/http_server.h"
#include "services/local/server/router.h"
#include "tests/local/http_probe.h"
#include "tests/support/check.h"

#include <atomic>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

using desk::check::RawConnection;
using namespace std::chrono_literals;

namespace {

/// Answers with the body it got; /hold keeps its responders, /drop closes, /forget forgets.
struct EchoServer
{
    explicit EchoServer(desk::local::HttpLimits limits = {})
    {
        desk::local::HttpServerConfig config;
        config.limits = limits;
        auto listening = desk::local::HttpServer::listen(
            config,
            [this](const desk::local::HttpRequest& request)
                -> std::optional<desk::local::HttpResponse> {
                if (request.path() == "/gate")
                    return desk::local::errorResponse(401, "no");
                ++passed;
                return std::nullopt;
            },
            [this](desk::local::HttpRequest request, desk::local::Responder responder) {
                handle(std::move(request), std::move(responder));
            });
        CHECK(listening.has_value());
        server = std::move(*listening);
        server->start();
    }
    ~EchoServer() { server->stop(); }

    void handle(desk::local::HttpRequest request, desk::local::Responder responder)
    {
        if (request.path() == "/hold") {
            const std::scoped_lock lock(mutex);
            held.push_back(std::move(responder));
        } else if (request.path() == "/throw") {
            throw std::runtime_error("a handler that throws");
        } else if (request.path() == "/drop") {
            responder.drop();
        } else if (request.path() != "/forget") {
            responder.send(desk::local::jsonResponse(
                request.method + " " + request.path() + " " + std::to_string(request.body.size())));
        }
    }
    std::size_t heldCount()
    {
        const std::scoped_lock lock(mutex);
        return held.size();
    }

    std::unique_ptr<desk::local::HttpServer> server; // outlives the responders
    std::atomic<int> passed { 0 };
    std::mutex mutex;
    std::vector<desk::local::Responder> held;
};

TEST(three_pipelined_requests_get_three_answers_in_order)
{
    EchoServer echo;
    RawConnection connection(echo.server->port());
    CHECK(
        connection.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET //2///x HTTP/1.1\r\nHost: a\r\n\r\n"
                        "POST /3 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"));
    CHECK_EQUAL(connection.readReply().body, "GET /1 0");
    CHECK_EQUAL(connection.readReply().body, "GET /2/x 0");
    CHECK_EQUAL(connection.readReply().body, "POST /3 5");
}

TEST(a_header_above_the_limit_is_431)
{
    EchoServer echo;
    const std::string large(17 * 1024, 'x');
    const auto reply =
        desk::check::request(echo.server->port(), "GET", "/", {}, "X-Large: " + large + "\r\n");
    CHECK_EQUAL(reply.status, 431);
    CHECK_EQUAL(echo.passed.load(), 0);
}

TEST(a_body_above_the_limit_is_413_before_it_is_read)
{
    desk::local::HttpLimits limits;
    limits.bodyBytes = 1000;
    EchoServer echo(limits);
    RawConnection connection(echo.server->port());
    CHECK(connection.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000000\r\n\r\nabc"));
    const auto reply = connection.readReply();
    CHECK_EQUAL(reply.status, 413);
    CHECK(reply.body.find("too large") != std::string::npos);
    const auto fits =
        desk::check::request(echo.server->port(), "POST", "/", std::string(1000, 'x'));
    CHECK_EQUAL(fits.body, "POST / 1000");
}

TEST(a_chunked_body_above_the_limit_is_413)
{
    desk::local::HttpLimits limits;
    limits.bodyBytes = 10;
    EchoServer echo(limits);
    RawConnection connection(echo.server->port());
    CHECK(connection.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                          "14\r\naaaaaaaaaaaaaaaaaaaa\r\n0\r\n\r\n"));
    CHECK_EQUAL(connection.readReply().status, 413);
}

TEST(a_header_that_trickles_is_cut_off)
{
    desk::local::HttpLimits limits;
    limits.header = 100ms;
    EchoServer echo(limits);
    RawConnection connection(echo.server->port());
    CHECK(connection.send("GET / HTTP/1.1\r\nHost:"));
    CHECK_EQUAL(connection.readUntilClosed(), "");
}

TEST(a_body_that_stalls_is_cut_off)
{
    desk::local::HttpLimits limits;
    limits.bodyStall = 100ms;
    EchoServer echo(limits);
    RawConnection connection(echo.server->port());
    CHECK(connection.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc"));
    CHECK_EQUAL(connection.readUntilClosed(), "");
}

TEST(an_idle_connection_is_closed)
{
    desk::local::HttpLimits limits;
    limits.idle = 100ms;
    EchoServer echo(limits);
    RawConnection connection(echo.server->port());
    CHECK(connection.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    CHECK_EQUAL(connection.readReply().status, 200);
    CHECK_EQUAL(connection.readUntilClosed(), "");
}

TEST(the_gate_answers_before_the_body_and_closes)
{
    EchoServer echo;
    RawConnection connection(echo.server->port());
    CHECK(connection.send("POST /gate HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n"));
    const auto reply = connection.readReply();
    CHECK_EQUAL(reply.status, 401);
    CHECK(reply.head.find("Connection: close") != std::string::npos);
}

TEST(expect_continue_is_answered)
{
    EchoServer echo;
    RawConnection connection(echo.server->port());
    CHECK(connection.send(
        "POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"));
    CHECK_EQUAL(connection.readReply().status, 100);
    CHECK(connection.send("ab"));
    CHECK_EQUAL(connection.readReply().body, "POST /x 2");
}

TEST(malformed_requests_are_400)
{
    EchoServer echo;
    for (const char* text :
        { "NONSENSE\r\n\r\n", "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /a%00b HTTP/1.1\r\nHost: a\r\n\r\n", "GET nowhere HTTP/1.1\r\nHost: a\r\n\r\n" }) {
        RawConnection connection(echo.server->port());
        CHECK(connection.send(text));
        CHECK_EQUAL(connection.readReply().status, 400);
    }
}

TEST(a_dropped_reply_closes_without_a_byte)
{
    EchoServer echo;
    CHECK_EQUAL(desk::check::request(echo.server->port(), "POST", "/drop").status, 0);
}

TEST(a_forgotten_request_is_500)
{
    EchoServer echo;
    CHECK_EQUAL(desk::check::request(echo.server->port(), "GET", "/forget").status, 500);
}

TEST(a_handler_that_throws_is_500_and_the_server_goes_on)
{
    EchoServer echo;
    CHECK_EQUAL(desk::check::request(echo.server->port(), "GET", "/throw").status, 500);
    CHECK_EQUAL(desk::check::request(echo.server->port(), "GET", "/x").status, 200);
}

TEST(a_hundred_long_polls_wait_without_a_thread_each)
{
    EchoServer echo;
    std::vector<std::unique_ptr<RawConnection>> polls;
    for (int i = 0; i < 100; ++i) {
        polls.push_back(std::make_unique<RawConnection>(echo.server->port()));
        CHECK(polls.back()->send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n"));
    }
    while (echo.heldCount() < 100)
        std::this_thread::yield();
    polls.resize(50); // half of the clients leave before the answer
    {
        const std::scoped_lock lock(echo.mutex);
        for (const auto& responder : echo.held)
            responder.send(desk::local::jsonResponse("now"));
    }
    for (const auto& poll : polls)
        CHECK_EQUAL(poll->readReply().body, "now");
}

TEST(only_the_first_answer_counts)
{
    EchoServer echo;
    RawConnection connection(echo.server->port());
    CHECK(connection.send(
        "GET /hold HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n"));
    while (echo.heldCount() < 1)
        std::this_thread::yield();
    echo.held[0].send(desk::local::jsonResponse("first"));
    echo.held[0].send(desk::local::jsonResponse("second"));
    CHECK_EQUAL(connection.readReply().body, "first");
    CHECK_EQUAL(connection.readReply().body, "GET /next 0");
}

TEST(connections_above_the_limit_are_closed)
{
    desk::local::HttpLimits limits;
    limits.connections = 1;
    EchoServer echo(limits);
    RawConnection first(echo.server->port());
    CHECK(first.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n"));
    CHECK_EQUAL(first.readReply().status, 200);
    RawConnection second(echo.server->port());
    CHECK_EQUAL(second.readUntilClosed(), "");
}

TEST(a_taken_port_and_a_bad_address_are_errors)
{
    EchoServer echo;
    desk::local::HttpServerConfig config;
    config.port = echo.server->port();
    auto taken = desk::local::HttpServer::listen(config, {}, {});
    CHECK(!taken.has_value());
    CHECK(taken.error().code == desk::Error::Code::Conflict);
    config.host = "no address";
    auto bad = desk::local::HttpServer::listen(config, {}, {});
    CHECK(!bad.has_value());
    CHECK(bad.error().code == desk::Error::Code::Usage);
}

} // namespace

CHECK_MAIN()
