// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/local/options.h"

#include "services/local/objects/files.h"
#include "services/local/server/log.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <iostream>

namespace desk::local {

namespace {

    struct RawOptions
    {
        std::string data;
        std::string listen = "127.0.0.1:0";
        std::string readyFile;
        std::string account = "local";
        int threads = 0;
        std::vector<std::string> baseModels;
        std::string tlsCertificate;
        std::string tlsKey;
        int maxBody = 128;
        std::string faults;
        std::string logLevel = "info";
    };

    const char* simdName()
    {
#if defined(__x86_64__)
        if (__builtin_cpu_supports("avx512f"))
            return "avx512";
        if (__builtin_cpu_supports("avx2"))
            return "avx2";
#endif
        return "scalar";
    }

    int complain(const Error& error)
    {
        std::cerr << "trainerdesk-local: " << error.message;
        if (!error.unchanged.empty())
            std::cerr << "; " << error.unchanged;
        if (!error.next.empty())
            std::cerr << "; " << error.next;
        std::cerr << '\n';
        return error.code == Error::Code::Usage ? 2 : 3;
    }

    Error usageError(std::string message, std::string next)
    {
        return Error { Error::Code::Usage, std::move(message), "the backend does not serve",
            std::move(next), {} };
    }

    Status splitListen(const std::string& listen, HttpServerConfig& http)
    {
        const auto colon = listen.rfind(':');
        unsigned port = 0;
        const auto digits = colon == std::string::npos ? std::string {} : listen.substr(colon + 1);
        const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), port);
        if (digits.empty() || read.ec != std::errc {} || read.ptr != digits.data() + digits.size()
            || port > 65535)
            return usageError(
                "--listen '" + listen + "' is not ADDRESS:PORT", "give for example 127.0.0.1:0");
        http.host = listen.substr(0, colon);
        if (http.host.size() > 2 && http.host.front() == '[' && http.host.back() == ']')
            http.host = http.host.substr(1, http.host.size() - 2);
        http.port = static_cast<std::uint16_t>(port);
        return done();
    }

    Status readFaults(const std::string& argument, std::vector<Fault>& faults)
    {
        if (argument.empty())
            return done();
        std::string text = argument;
        if (argument.front() != '[') {
            auto read = readSmallFile(argument, 1U << 20);
            if (!read)
                return read.error();
            text = *read;
        }
        auto decoded = decodeFaults(text);
        if (!decoded)
            return decoded.error();
        faults = std::move(*decoded);
        return done();
    }

    bool isAccountId(const std::string& account)
    {
        return !account.empty() && account.size() <= 63
            && std::all_of(account.begin(), account.end(), [](char c) {
                   return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
               });
    }

    Status convert(const RawOptions& raw, LocalOptions& options)
    {
        auto& backend = options.backend;
        backend.version = DESK_VERSION;
        std::error_code error;
        backend.data = std::filesystem::absolute(raw.data, error);
        backend.account = raw.account;
        backend.threads = raw.threads;
        options.readyFile = raw.readyFile;
        for (const auto& folder : raw.baseModels)
            backend.baseModels.emplace_back(folder);
        backend.http.limits.bodyBytes = static_cast<std::uint64_t>(raw.maxBody) << 20;
        if (raw.tlsCertificate.empty() != raw.tlsKey.empty())
            return usageError("TLS needs --tls-cert and --tls-key", "give both");
        if (!raw.tlsKey.empty())
            backend.http.tls = TlsFiles { raw.tlsCertificate, raw.tlsKey };
        if (!isAccountId(raw.account))
            return usageError("--account '" + raw.account + "' is not an account id",
                "use a-z, 0-9 and '-', at most 63 characters");
        const auto level = logLevelFrom(raw.logLevel);
        if (!level)
            return usageError("--log-level '" + raw.logLevel + "' is not known",
                "use error, warning, info or debug");
        setLogLevel(*level);
        if (auto status = splitListen(raw.listen, backend.http); !status)
            return status;
        return readFaults(raw.faults, backend.faults);
    }

} // namespace

LocalOptions readLocalOptions(int argc, char** argv)
{
    RawOptions raw;
    CLI::App app("Embedded backend of Trainer Desk: trains, saves, promotes, serves and hot-loads "
                 "on this machine.");
    app.name("trainerdesk-local");
    app.set_version_flag("--version",
        std::string("trainerdesk-local ") + DESK_VERSION + " (CUDA no, SIMD " + simdName() + ")");
    app.add_option("--data", raw.data, "Folder of everything: key, rows, weights")
        ->required()
        ->type_name("DIR");
    app.add_option("--listen", raw.listen, "Address and port; port 0 picks a free one")
        ->type_name("ADDRESS:PORT")
        ->capture_default_str();
    app.add_option("--ready-file", raw.readyFile, "Write the ready line here, too")->type_name("F");
    app.add_option("--account", raw.account, "Account that the backend plays")
        ->type_name("ID")
        ->capture_default_str();
    app.add_option("--threads", raw.threads, "Threads of the engine; 0: all")
        ->check(CLI::Range(0, 256))
        ->type_name("N");
    app.add_option("--base-model", raw.baseModels, "Offer a Hugging Face folder as a base model")
        ->type_name("DIR")
        ->expected(1)
        ->take_all();
    app.add_option("--tls-cert", raw.tlsCertificate, "Certificate chain, PEM")->type_name("F");
    app.add_option("--tls-key", raw.tlsKey, "Its key, PEM")->type_name("F");
    app.add_option("--max-body", raw.maxBody, "Largest request body")
        ->check(CLI::Range(1, 1024))
        ->type_name("MiB")
        ->capture_default_str();
    app.add_option("--faults", raw.faults, "Faults to play, a JSON list or a file with one")
        ->type_name("F");
    app.add_option("--log-level", raw.logLevel, "error, warning, info or debug")
        ->type_name("L")
        ->capture_default_str();
    app.footer("Example:\n  trainerdesk-local --data ~/.local/share/trainerdesk/local");
    LocalOptions options;
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& problem) {
        options.exitCode = app.exit(problem) == 0 ? 0 : 2;
        return options;
    }
    if (auto status = convert(raw, options); !status)
        options.exitCode = complain(status.error());
    return options;
}

} // namespace desk::local
