// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

// A blocking HTTP client over plain sockets, for tests that must see bytes and closed connections.

#include <arpa/inet.h>
#include <cstdint>
#include <cstdlib>
#include <netinet/in.h>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include <utility>

namespace desk::check {

/// One TCP connection to 127.0.0.1; reads give up after ten seconds.
class RawConnection
{
public:
    explicit RawConnection(std::uint16_t port)
        : m_socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0))
    {
        sockaddr_in address = {};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        const timeval limit { 10, 0 };
        ::setsockopt(m_socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        m_isOpen = ::connect(m_socket, static_cast<sockaddr*>(static_cast<void*>(&address)),
                       sizeof address)
            == 0;
    }
    RawConnection(const RawConnection&) = delete;
    RawConnection& operator=(const RawConnection&) = delete;
    ~RawConnection() { ::close(m_socket); }

    bool isOpen() const { return m_isOpen; }
    int descriptor() const { return m_socket; }
    /// False when the other side has closed.
    bool send(std::string_view bytes)
    {
        while (!bytes.empty()) {
            const auto sent = ::send(m_socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (sent <= 0)
                return false;
            bytes.remove_prefix(static_cast<std::size_t>(sent));
        }
        return true;
    }
    /// Everything until the other side closes or `limit` bytes are there.
    std::string readUntilClosed(std::size_t limit = 1U << 24)
    {
        while (m_buffer.size() < limit && fill()) { }
        return std::exchange(m_buffer, {});
    }

    struct Reply
    {
        int status = 0; ///< 0: closed without an answer
        std::string head;
        std::string body;
    };
    /// One answer with Content-Length.
    Reply readReply(bool hasBody = true)
    {
        Reply reply;
        std::size_t end = std::string::npos;
        while ((end = m_buffer.find("\r\n\r\n")) == std::string::npos)
            if (!fill())
                return reply;
        reply.head = m_buffer.substr(0, end);
        m_buffer.erase(0, end + 4);
        reply.status = std::atoi(reply.head.c_str() + 9);
        const auto length = reply.head.find("Content-Length: ");
        const auto wanted = length == std::string::npos || !hasBody
            ? 0
            : static_cast<std::size_t>(std::atoll(reply.head.c_str() + length + 16));
        while (m_buffer.size() < wanted)
            if (!fill())
                return Reply {};
        reply.body = m_buffer.substr(0, wanted);
        m_buffer.erase(0, wanted);
        return reply;
    }

private:
    bool fill()
    {
        char block[65536];
        const auto got = ::recv(m_socket, block, sizeof block, 0);
        if (got <= 0)
            return false;
        m_buffer.append(block, static_cast<std::size_t>(got));
        return true;
    }

    int m_socket;
    bool m_isOpen = false;
    std::string m_buffer;
};

/// One request on a connection of its own.
inline RawConnection::Reply request(std::uint16_t port, std::string_view method,
    std::string_view target, std::string_view body = {}, std::string_view headers = {})
{
    RawConnection connection(port);
    std::string text(method);
    text += " " + std::string(target) + " HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n";
    text += headers;
    if (!body.empty() || method == "POST")
        text += "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size())
            + "\r\n";
    text += "\r\n";
    text += body;
    connection.send(text);
    return connection.readReply();
}

} // namespace desk::check
