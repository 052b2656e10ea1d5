// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

// Private to http_plain.cpp and http_tls.cpp.

#include "services/local/server/http_session.h"
#include "services/local/server/log.h"

#include <array>
#include <atomic>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <netinet/tcp.h>
#include <optional>
#include <poll.h>
#include <sstream>
#include <string>
#include <sys/socket.h>
#include <utility>

namespace desk::local {

namespace http = boost::beast::http;

/// One connection. Everything runs on the server's thread except the entry points of responders and
/// sinks, which post to it.
template <class Stream>
class HttpSession final : public std::enable_shared_from_this<HttpSession<Stream>>
{
public:
    HttpSession(Stream stream, std::shared_ptr<ServerShared> shared)
        : m_stream(std::move(stream))
        , m_shared(std::move(shared))
    {
    }
    HttpSession(const HttpSession&) = delete;
    HttpSession& operator=(const HttpSession&) = delete;
    ~HttpSession() { m_shared->connections.fetch_sub(1); }

    Stream& stream() { return m_stream; }

    void waitForRequest()
    {
        m_parser.emplace();
        m_parser->header_limit(m_shared->limits.headerBytes);
        m_parser->body_limit(m_shared->limits.bodyBytes);
        if (m_buffer.size() > 0) {
            readHeader();
            return;
        }
        // The time for the header counts from its first byte, not from the end of the last answer.
        lowest().expires_after(m_shared->limits.idle);
        m_stream.async_read_some(m_buffer.prepare(4096),
            [self = this->shared_from_this()](boost::beast::error_code error, std::size_t bytes) {
                if (error)
                    return self->close();
                self->m_buffer.commit(bytes);
                self->readHeader();
            });
    }

private:
    class Sink;
    friend class Sink;
    static constexpr auto kHangUpInterval = std::chrono::seconds(1);
    static constexpr std::size_t kMaxQueuedBytes = std::size_t { 16 } << 20;

    auto& lowest() { return boost::beast::get_lowest_layer(m_stream); }

    void readHeader()
    {
        lowest().expires_after(m_shared->limits.header);
        http::async_read_header(m_stream, m_buffer, *m_parser,
            [self = this->shared_from_this()](
                boost::beast::error_code error, std::size_t) { self->onHeader(error); });
    }

    void onHeader(boost::beast::error_code error)
    {
        if (error)
            return refuse(error);
        m_request = {};
        const auto& head = m_parser->get();
        m_request.method = std::string(head.method_string());
        for (const auto& field : head)
            m_request.headers.push_back(
                { std::string(field.name_string()), std::string(field.value()) });
        m_keepsAlive = head.keep_alive();
        m_isHead = head.method() == http::verb::head;
        m_version = head.version();
        if (!splitTarget(std::string_view(head.target().data(), head.target().size()), m_request))
            return answerAndClose(400, R"({"code":3,"message":"malformed URL","details":[]})");
        if (m_shared->gate) {
            if (auto early = m_shared->gate(m_request)) {
                early->closesConnection = early->closesConnection || !m_parser->is_done();
                return write(std::move(*early));
            }
        }
        if (m_parser->is_done())
            return dispatch();
        if (equalsIgnoringCase(m_request.header("Expect"), "100-continue"))
            return sendContinue();
        acknowledgeNow();
        readBody();
    }

    /// A client that writes header and body apart holds the body back until the header was
    /// acknowledged, which a kernel may put off by 40 ms.
    void acknowledgeNow()
    {
#ifdef TCP_QUICKACK
        const int isOn = 1;
        (void)::setsockopt(
            lowest().socket().native_handle(), IPPROTO_TCP, TCP_QUICKACK, &isOn, sizeof isOn);
#endif
    }

    void sendContinue()
    {
        static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
        lowest().expires_after(m_shared->limits.bodyStall);
        boost::asio::async_write(m_stream, boost::asio::buffer(kContinue.data(), kContinue.size()),
            [self = this->shared_from_this()](boost::beast::error_code error, std::size_t) {
                if (error)
                    return self->close();
                self->readBody();
            });
    }

    void readBody()
    {
        lowest().expires_after(m_shared->limits.bodyStall);
        http::async_read_some(m_stream, m_buffer, *m_parser,
            [self = this->shared_from_this()](boost::beast::error_code error, std::size_t) {
                if (error)
                    return self->refuse(error);
                if (self->m_parser->is_done())
                    return self->dispatch();
                self->readBody();
            });
    }

    void refuse(boost::beast::error_code error)
    {
        if (error == http::error::header_limit)
            return answerAndClose(
                431, R"({"code":3,"message":"the request header is too large","details":[]})");
        if (error == http::error::body_limit)
            return answerAndClose(
                413, R"({"code":3,"message":"the request body is too large","details":[]})");
        if (error == http::error::end_of_stream || error == http::error::partial_message
            || error.category() != http::make_error_code(http::error::bad_method).category())
            return close();
        answerAndClose(400, R"({"code":3,"message":"malformed HTTP request","details":[]})");
    }

    void answerAndClose(int status, std::string body)
    {
        HttpResponse response;
        response.status = status;
        response.body = std::move(body);
        response.closesConnection = true;
        write(std::move(response));
    }

    void dispatch();

    void write(HttpResponse answer)
    {
        stopWatching();
        m_response = {};
        m_response.version(11);
        m_response.result(static_cast<unsigned>(answer.status));
        m_response.set(http::field::content_type, answer.contentType);
        for (const auto& header : answer.headers)
            m_response.set(header.name, header.value);
        m_closes = answer.closesConnection || !m_keepsAlive;
        m_response.keep_alive(!m_closes);
        m_response.content_length(answer.body.size());
        if (!m_isHead)
            m_response.body() = std::move(answer.body);
        lowest().expires_after(m_shared->limits.idle);
        http::async_write(m_stream, m_response,
            [self = this->shared_from_this(), onDelivered = std::move(answer.onDelivered)](
                boost::beast::error_code error, std::size_t) {
                self->m_response = {};
                if (error)
                    return self->close();
                if (onDelivered && !self->hasHungUp())
                    onDelivered();
                self->afterAnswer();
            });
    }

    void afterAnswer()
    {
        if (m_closes)
            return linger();
        waitForRequest();
    }

    // While a request waits for its answer, a client that closes the connection is noticed: what
    // it left is no delivery, and the work for it may stop. Nothing is read from the stream, so
    // that a pipelined request stays where it is; behind one only a timer can look for the end.
    bool hasHungUp()
    {
        pollfd probe { lowest().socket().native_handle(), POLLRDHUP, 0 };
        return ::poll(&probe, 1, 0) > 0
            && (probe.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)) != 0;
    }

    void watch()
    {
        m_isWatching = true;
        lowest().socket().async_wait(boost::asio::ip::tcp::socket::wait_read,
            [self = this->shared_from_this(), presence = m_presence](
                boost::beast::error_code error) {
                if (error || self->m_presence != presence)
                    return;
                if (self->hasHungUp())
                    return presence->leave();
                self->watchLater();
            });
    }

    void watchLater()
    {
        if (!m_timer)
            m_timer.emplace(m_stream.get_executor());
        m_timer->expires_after(kHangUpInterval);
        m_timer->async_wait([self = this->shared_from_this(), presence = m_presence](
                                boost::beast::error_code error) {
            if (error || self->m_presence != presence || !presence)
                return;
            if (self->hasHungUp())
                return presence->leave();
            self->watchLater();
        });
    }

    void stopWatching()
    {
        if (auto presence = std::exchange(m_presence, {}))
            presence->close();
        if (std::exchange(m_isWatching, false)) {
            boost::beast::error_code ignored;
            lowest().socket().cancel(ignored);
        }
        if (m_timer)
            m_timer->cancel();
    }

    // An answer in parts: chunks of HTTP/1.1, or everything until the end of the connection.
    void beginStream(HttpResponse head)
    {
        if (!m_isHead)
            m_chunks.push_back(std::move(head.body));
        http::response<http::empty_body> start;
        start.version(11);
        start.result(static_cast<unsigned>(head.status));
        start.set(http::field::content_type, head.contentType);
        for (const auto& header : head.headers)
            start.set(header.name, header.value);
        m_isChunked = m_version >= 11;
        m_closes = head.closesConnection || !m_keepsAlive || !m_isChunked;
        start.keep_alive(!m_closes);
        start.chunked(m_isChunked && !m_isHead);
        std::ostringstream text;
        text << start.base();
        m_chunkWrite = text.str();
        m_onStreamDelivered = std::move(head.onDelivered);
        m_isStreaming = true;
        m_endsStream = false;
        sendPart();
    }

    void sendPart()
    {
        m_isSending = true;
        lowest().expires_after(m_shared->limits.idle);
        boost::asio::async_write(m_stream, boost::asio::buffer(m_chunkWrite),
            [self = this->shared_from_this()](boost::beast::error_code error, std::size_t) {
                self->m_isSending = false;
                if (error) {
                    self->m_isStreaming = false;
                    if (self->m_presence)
                        self->m_presence->leave();
                    return self->close();
                }
                self->sendNextPart();
            });
    }

    void sendNextPart()
    {
        if (!m_isStreaming || m_isSending)
            return;
        std::string bytes;
        for (const auto& chunk : m_chunks)
            bytes += chunk;
        m_chunks.clear();
        m_queuedBytes = 0;
        m_chunkWrite.clear();
        if (!bytes.empty() && !m_isHead) {
            if (m_isChunked) {
                std::ostringstream size;
                size << std::hex << bytes.size() << "\r\n";
                m_chunkWrite = size.str() + bytes + "\r\n";
            } else {
                m_chunkWrite = std::move(bytes);
            }
            return sendPart();
        }
        if (!m_endsStream)
            return lowest().expires_never();
        if (!std::exchange(m_sentLast, true) && m_isChunked && !m_isHead) {
            m_chunkWrite = "0\r\n\r\n";
            return sendPart();
        }
        m_isStreaming = false;
        m_sentLast = false;
        if (m_onStreamDelivered && !hasHungUp())
            m_onStreamDelivered();
        m_onStreamDelivered = {};
        stopWatching();
        afterAnswer();
    }

    void addPart(std::string bytes)
    {
        if (!m_isStreaming)
            return;
        m_queuedBytes += bytes.size();
        if (m_queuedBytes > kMaxQueuedBytes) {
            m_isStreaming = false;
            if (m_presence)
                m_presence->leave();
            return close();
        }
        m_chunks.push_back(std::move(bytes));
        sendNextPart();
    }

    void endStream(bool isDropped)
    {
        if (!m_isStreaming)
            return;
        if (isDropped) {
            m_isStreaming = false;
            stopWatching();
            return close();
        }
        m_endsStream = true;
        sendNextPart();
    }

    /// Reads on for a moment, so that a client which is still sending sees the answer and not a
    /// reset connection.
    void linger()
    {
        boost::beast::error_code ignored;
        lowest().socket().shutdown(boost::asio::ip::tcp::socket::shutdown_send, ignored);
        lowest().expires_after(std::chrono::seconds(2));
        drain();
    }

    void drain()
    {
        m_stream.async_read_some(boost::asio::buffer(m_discard),
            [self = this->shared_from_this()](boost::beast::error_code error, std::size_t) {
                if (error)
                    return self->close();
                self->drain();
            });
    }

    void close()
    {
        boost::beast::error_code ignored;
        lowest().socket().close(ignored);
    }

    Stream m_stream;
    std::shared_ptr<ServerShared> m_shared;
    boost::beast::flat_buffer m_buffer;
    std::optional<http::request_parser<http::string_body>> m_parser;
    http::response<http::string_body> m_response;
    HttpRequest m_request;
    std::array<char, 4096> m_discard {};
    bool m_keepsAlive = true;
    bool m_isHead = false;
    bool m_closes = false;
    unsigned m_version = 11;
    std::shared_ptr<Presence> m_presence; // of the request that waits for its answer
    bool m_isWatching = false;
    std::optional<boost::asio::steady_timer> m_timer;
    std::deque<std::string> m_chunks; // parts that were not sent yet
    std::size_t m_queuedBytes = 0;
    std::string m_chunkWrite;
    std::function<void()> m_onStreamDelivered;
    bool m_isStreaming = false;
    bool m_isSending = false;
    bool m_endsStream = false;
    bool m_sentLast = false;
    bool m_isChunked = true;
};

/// Parts of an answer on their way to the server's thread.
template <class Stream>
class HttpSession<Stream>::Sink final : public ResponseStream::Sink
{
public:
    explicit Sink(std::shared_ptr<HttpSession> session)
        : m_session(std::move(session))
    {
    }
    ~Sink() override
    {
        if (!m_isDone.exchange(true)) // nobody will end it any more
            boost::asio::post(
                m_session->m_stream.get_executor(), [self = m_session] { self->endStream(true); });
    }
    void write(std::string bytes) override
    {
        if (!m_isDone.load())
            boost::asio::post(m_session->m_stream.get_executor(),
                [self = m_session, bytes = std::move(bytes)]() mutable {
                    self->addPart(std::move(bytes));
                });
    }
    void end() override { finish(false); }
    void drop() override { finish(true); }

private:
    void finish(bool isDropped)
    {
        if (!m_isDone.exchange(true))
            boost::asio::post(m_session->m_stream.get_executor(),
                [self = m_session, isDropped] { self->endStream(isDropped); });
    }
    std::shared_ptr<HttpSession> m_session;
    std::atomic<bool> m_isDone { false };
};

template <class Stream>
void HttpSession<Stream>::dispatch()
{
    m_request.body = std::move(m_parser->get().body());
    m_parser.reset();
    lowest().expires_never(); // an answer may take as long as its handler wants
    auto deliver = [self = this->shared_from_this()](HttpResponse response, bool isDropped) {
        boost::asio::post(self->m_stream.get_executor(),
            [self, isDropped, response = std::move(response)]() mutable {
                if (isDropped) {
                    self->stopWatching();
                    self->close();
                } else {
                    self->write(std::move(response));
                }
            });
    };
    auto openStream = [self = this->shared_from_this()](HttpResponse head) {
        boost::asio::post(self->m_stream.get_executor(),
            [self, head = std::move(head)]() mutable { self->beginStream(std::move(head)); });
        return std::shared_ptr<ResponseStream::Sink>(std::make_shared<Sink>(self));
    };
    m_presence = std::make_shared<Presence>();
    watch();
    try {
        m_shared->handler(std::move(m_request),
            makeResponder(std::move(deliver), m_presence, std::move(openStream)));
    } catch (const std::exception& problem) { // its responder is gone: the client gets a 500
        logLine(LogLevel::Error, std::string("a handler failed: ") + problem.what());
    }
}

} // namespace desk::local
