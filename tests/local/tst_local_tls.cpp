// SPDX-License-Identifier: GPL-3.0-or-later
// TLS of the HTTP server, with a certificate made here.
#include "services/local/server/http_server.h"
#include "services/local/server/router.h"
#include "tests/local/http_probe.h"
#include "tests/local/temp_folder.h"
#include "tests/support/check.h"

#include <cstdio>
#include <memory>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

namespace {

using desk::check::TempFolder;

template <auto Free>
struct Freer
{
    template <class T>
    void operator()(T* object) const
    {
        Free(object);
    }
};
using KeyPtr = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using CertificatePtr = std::unique_ptr<X509, Freer<X509_free>>;
using ContextPtr = std::unique_ptr<SSL_CTX, Freer<SSL_CTX_free>>;
using SslPtr = std::unique_ptr<SSL, Freer<SSL_free>>;
using FilePtr = std::unique_ptr<std::FILE, Freer<std::fclose>>;

desk::local::TlsFiles makeCertificate(const std::filesystem::path& folder)
{
    const desk::local::TlsFiles files { folder / "cert.pem", folder / "key.pem" };
    const KeyPtr key(EVP_EC_gen("P-256"));
    const CertificatePtr certificate(X509_new());
    ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate.get()), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
    X509_set_pubkey(certificate.get(), key.get());
    X509_sign(certificate.get(), key.get(), EVP_sha256());
    const FilePtr certificateFile(std::fopen(files.certificateChain.c_str(), "w"));
    const FilePtr keyFile(std::fopen(files.key.c_str(), "w"));
    PEM_write_X509(certificateFile.get(), certificate.get());
    PEM_write_PrivateKey(keyFile.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    return files;
}

struct TlsServer
{
    explicit TlsServer(desk::local::HttpLimits limits = {})
    {
        desk::local::HttpServerConfig config;
        config.limits = limits;
        config.tls = makeCertificate(folder.path());
        auto listening = desk::local::HttpServer::listen(
            config, {}, [](desk::local::HttpRequest request, desk::local::Responder responder) {
                responder.send(desk::local::jsonResponse(request.body));
            });
        CHECK(listening.has_value());
        server = std::move(*listening);
        server->start();
    }
    ~TlsServer() { server->stop(); }
    TempFolder folder;
    std::unique_ptr<desk::local::HttpServer> server;
};

TEST(requests_are_answered_over_tls)
{
    TlsServer tls;
    desk::check::RawConnection connection(tls.server->port());
    const ContextPtr context(SSL_CTX_new(TLS_client_method()));
    const SslPtr ssl(SSL_new(context.get()));
    SSL_set_fd(ssl.get(), connection.descriptor());
    CHECK_EQUAL(SSL_connect(ssl.get()), 1);
    for (int i = 0; i < 2; ++i) { // keep-alive
        const std::string text = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nsecret";
        CHECK_EQUAL(SSL_write(ssl.get(), text.data(), static_cast<int>(text.size())),
            static_cast<int>(text.size()));
        std::string answer;
        while (answer.find("\r\n\r\nsecret") == std::string::npos) {
            char block[4096];
            const int got = SSL_read(ssl.get(), block, sizeof block);
            CHECK(got > 0);
            answer.append(block, static_cast<std::size_t>(got));
        }
        CHECK_EQUAL(answer.substr(0, 15), "HTTP/1.1 200 OK");
    }
}

TEST(plain_text_on_the_tls_port_is_closed)
{
    TlsServer tls;
    desk::check::RawConnection connection(tls.server->port());
    CHECK(connection.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    CHECK(connection.readUntilClosed().find("HTTP/1.1") == std::string::npos);
}

TEST(a_handshake_that_trickles_is_cut_off)
{
    desk::local::HttpLimits limits;
    limits.header = std::chrono::milliseconds(100);
    TlsServer tls(limits);
    desk::check::RawConnection connection(tls.server->port());
    CHECK_EQUAL(connection.readUntilClosed(), "");
}

TEST(unusable_files_are_a_usage_error)
{
    TempFolder folder;
    desk::check::writeBytes(folder.path() / "cert.pem", "nonsense");
    desk::local::HttpServerConfig config;
    config.tls = desk::local::TlsFiles { folder.path() / "cert.pem", folder.path() / "none" };
    auto listening = desk::local::HttpServer::listen(config, {}, {});
    CHECK(!listening.has_value());
    CHECK(listening.error().code == desk::Error::Code::Usage);
}

} // namespace

CHECK_MAIN()
