// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/server/http_session_impl.h"

namespace desk::local {

void startPlainSession(
    boost::asio::ip::tcp::socket socket, const std::shared_ptr<ServerShared>& shared)
{
    using Stream = boost::beast::tcp_stream;
    std::make_shared<HttpSession<Stream>>(Stream(std::move(socket)), shared)->waitForRequest();
}

} // namespace desk::local
