// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

// Private to http_plain.cpp, http_tls.cpp and http_server.cpp: Beast costs seconds to compile.

#include "services/local/server/http_server.h"

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>

namespace desk::local {

/// What all sessions of a server share. Outlives them: each holds a reference.
struct ServerShared
{
    HttpLimits limits;
    HttpServer::Gate gate;
    HttpHandler handler;
    std::atomic<std::size_t> connections { 0 };
};

void startPlainSession(
    boost::asio::ip::tcp::socket socket, const std::shared_ptr<ServerShared>& shared);
void startTlsSession(boost::asio::ip::tcp::socket socket, boost::asio::ssl::context& context,
    const std::shared_ptr<ServerShared>& shared);

} // namespace desk::local
