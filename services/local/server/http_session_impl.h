// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

// Private to http_plain.cpp and http_tls.cpp.

#include "services/local/server/http_session.h"
#include "services/local/server/log.h"

#include <array>
#include <boost/asio/post.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace desk::local {

namespace http = boost::beast::http;

/// One connection. Everything runs on the server's thread except ResponseChannel's entry points,
/// which post to it.
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
    class Channel;
    friend class Channel;

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
        readBody();
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
            [self = this->shared_from_this()](boost::beast::error_code error, std::size_t) {
                self->m_response = {};
                if (error)
                    return self->close();
                if (self->m_closes)
                    return self->linger();
                self->waitForRequest();
            });
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
                if (isDropped)
                    self->close();
                else
                    self->write(std::move(response));
            });
    };
    try {
        m_shared->handler(std::move(m_request), makeResponder(std::move(deliver)));
    } catch (const std::exception& problem) { // its responder is gone: the client gets a 500
        logLine(LogLevel::Error, std::string("a handler failed: ") + problem.what());
    }
}

} // namespace desk::local
