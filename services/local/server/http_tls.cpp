// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/server/http_session_impl.h"

#include <boost/beast/ssl.hpp>

namespace desk::local {

void startTlsSession(boost::asio::ip::tcp::socket socket, boost::asio::ssl::context& context,
    const std::shared_ptr<ServerShared>& shared)
{
    using Stream = boost::beast::ssl_stream<boost::beast::tcp_stream>;
    auto session =
        std::make_shared<HttpSession<Stream>>(Stream(std::move(socket), context), shared);
    boost::beast::get_lowest_layer(session->stream()).expires_after(shared->limits.header);
    session->stream().async_handshake(
        boost::asio::ssl::stream_base::server, [session](boost::beast::error_code error) {
            if (!error)
                session->waitForRequest();
        });
}

} // namespace desk::local
