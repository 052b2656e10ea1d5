// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/server/http_server.h"

#include "services/local/server/http_session.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <thread>
#include <utility>

namespace desk::local {

namespace {

    using boost::asio::ip::tcp;

    Error serverError(Error::Code code, std::string message, std::string next)
    {
        return Error { code, std::move(message), "the backend does not serve", std::move(next),
            {} };
    }

    class BeastServer final : public HttpServer
    {
    public:
        BeastServer()
            : m_acceptor(m_io)
            , m_work(boost::asio::make_work_guard(m_io))
            , m_shared(std::make_shared<ServerShared>())
        {
        }
        ~BeastServer() override { stopNow(); }

        Status open(const HttpServerConfig& config, Gate gate, HttpHandler handler);
        std::uint16_t port() const override { return m_port; }

        void start() override
        {
            accept();
            m_thread = std::thread([this] { m_io.run(); });
        }

        void after(std::chrono::milliseconds delay, std::function<void()> run) override
        {
            if (delay.count() <= 0) {
                boost::asio::post(m_io, std::move(run));
                return;
            }
            auto timer = std::make_shared<boost::asio::steady_timer>(m_io, delay);
            timer->async_wait([timer, run = std::move(run)](boost::system::error_code error) {
                if (!error)
                    run();
            });
        }

        void stop() override { stopNow(); }

    private:
        void stopNow()
        {
            m_io.stop();
            if (m_thread.joinable())
                m_thread.join();
        }

        Status useTls(const TlsFiles& files);
        void accept();

        boost::asio::io_context m_io { 1 };
        std::optional<boost::asio::ssl::context> m_tls; // sessions refer to it
        tcp::acceptor m_acceptor;
        boost::asio::executor_work_guard<boost::asio::io_context::executor_type> m_work;
        std::shared_ptr<ServerShared> m_shared;
        std::uint16_t m_port = 0;
        std::thread m_thread;
    };

    Status BeastServer::useTls(const TlsFiles& files)
    {
        boost::system::error_code error;
        m_tls.emplace(boost::asio::ssl::context::tls_server);
        m_tls->set_options(boost::asio::ssl::context::default_workarounds
            | boost::asio::ssl::context::no_sslv2 | boost::asio::ssl::context::no_sslv3
            | boost::asio::ssl::context::no_tlsv1 | boost::asio::ssl::context::no_tlsv1_1);
        m_tls->use_certificate_chain_file(files.certificateChain.string(), error);
        if (error)
            return serverError(Error::Code::Usage,
                "the certificate " + files.certificateChain.string()
                    + " could not be used: " + error.message(),
                "give a PEM file with --tls-cert");
        m_tls->use_private_key_file(files.key.string(), boost::asio::ssl::context::pem, error);
        if (error)
            return serverError(Error::Code::Usage,
                "the TLS key " + files.key.string() + " could not be used: " + error.message(),
                "give the PEM key of the certificate with --tls-key");
        return done();
    }

    Status BeastServer::open(const HttpServerConfig& config, Gate gate, HttpHandler handler)
    {
        m_shared->limits = config.limits;
        m_shared->gate = std::move(gate);
        m_shared->handler = std::move(handler);
        if (config.tls) {
            if (auto status = useTls(*config.tls); !status)
                return status;
        }
        boost::system::error_code error;
        const auto address = boost::asio::ip::make_address(
            config.host == "localhost" ? "127.0.0.1" : config.host, error);
        if (error)
            return serverError(Error::Code::Usage, "'" + config.host + "' is not an IP address",
                "give --listen as ADDRESS:PORT, for example 127.0.0.1:0");
        const tcp::endpoint endpoint(address, config.port);
        m_acceptor.open(endpoint.protocol(), error);
        if (!error)
            m_acceptor.set_option(tcp::acceptor::reuse_address(true), error);
        if (!error)
            m_acceptor.bind(endpoint, error);
        if (!error)
            m_acceptor.listen(boost::asio::socket_base::max_listen_connections, error);
        if (error)
            return serverError(Error::Code::Conflict,
                "the address " + config.host + ":" + std::to_string(config.port)
                    + " could not be used: " + error.message(),
                "choose another port, or 0 for any free one");
        m_port = m_acceptor.local_endpoint().port();
        return done();
    }

    void BeastServer::accept()
    {
        m_acceptor.async_accept([this](boost::system::error_code error, tcp::socket socket) {
            if (error == boost::asio::error::operation_aborted)
                return;
            if (error) { // out of descriptors: give the others a moment to close
                after(std::chrono::milliseconds(100), [this] { accept(); });
                return;
            }
            if (m_shared->connections.fetch_add(1) >= m_shared->limits.connections) {
                m_shared->connections.fetch_sub(1);
            } else {
                boost::system::error_code ignored;
                socket.set_option(tcp::no_delay(true), ignored);
                if (m_tls)
                    startTlsSession(std::move(socket), *m_tls, m_shared);
                else
                    startPlainSession(std::move(socket), m_shared);
            }
            accept();
        });
    }

} // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::listen(
    const HttpServerConfig& config, Gate gate, HttpHandler handler)
{
    auto server = std::make_unique<BeastServer>();
    if (auto status = server->open(config, std::move(gate), std::move(handler)); !status)
        return status.error();
    return std::unique_ptr<HttpServer>(std::move(server));
}

bool isLoopbackHost(const std::string& host)
{
    if (host == "localhost")
        return true;
    boost::system::error_code error;
    const auto address = boost::asio::ip::make_address(host, error);
    return !error && address.is_loopback();
}

} // namespace desk::local
