// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"
#include "services/local/server/http_types.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace desk::local {

/// What one connection may cost (cli.md section 4).
struct HttpLimits
{
    std::uint32_t headerBytes = 16 * 1024; ///< more: 431
    std::uint64_t bodyBytes = 128ULL << 20; ///< more: 413
    std::chrono::milliseconds header { 10'000 }; ///< from its first byte to its last
    std::chrono::milliseconds bodyStall { 30'000 }; ///< without a byte of the body
    std::chrono::milliseconds idle { 120'000 }; ///< between requests; must exceed 90 s
    std::size_t connections = 2048; ///< more are closed at once
};

struct TlsFiles
{
    std::filesystem::path certificateChain; ///< PEM
    std::filesystem::path key; ///< PEM
};

struct HttpServerConfig
{
    std::string host = "127.0.0.1"; ///< an IP literal or "localhost"
    std::uint16_t port = 0; ///< 0: any free port
    HttpLimits limits;
    std::optional<TlsFiles> tls;
};

/// HTTP/1.1 server on one thread of its own: keep-alive, pipelining, limits, optional TLS.
/// The handler and the gate run on that thread; neither may block for long. Every Responder must
/// be gone before the server is destroyed.
class HttpServer
{
public:
    /// Asked when the header has arrived and before any of the body is read. An answer ends the
    /// request (and the connection, if a body was announced); nullopt lets it pass.
    using Gate = std::function<std::optional<HttpResponse>(const HttpRequest&)>;

    /// Binds and listens. Fails with Usage for a bad address or unusable TLS files, Conflict when
    /// the port is taken.
    [[nodiscard]] static Result<std::unique_ptr<HttpServer>> listen(
        const HttpServerConfig& config, Gate gate, HttpHandler handler);

    HttpServer(const HttpServer&) = delete;
    HttpServer& operator=(const HttpServer&) = delete;
    virtual ~HttpServer() = default; ///< stops

    [[nodiscard]] virtual std::uint16_t port() const = 0;
    virtual void start() = 0;
    /// Runs a function on the server's thread after a delay. THREAD: any.
    virtual void after(std::chrono::milliseconds delay, std::function<void()> run) = 0;
    /// Closes every connection and joins the thread. THREAD: not the server's own.
    virtual void stop() = 0;

protected:
    HttpServer() = default;
};

/// True for 127.0.0.0/8, ::1 and "localhost".
[[nodiscard]] bool isLoopbackHost(const std::string& host);

} // namespace desk::local
