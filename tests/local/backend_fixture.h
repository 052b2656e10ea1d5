// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/faults_codec.h"
#include "services/local/backend.h"
#include "services/local/server/log.h"
#include "tests/local/backend_probe.h"
#include "tests/local/temp_folder.h"

#include <memory>
#include <string>

namespace desk::check {

/// A backend in this process over a temporary folder.
struct BackendFixture
{
    explicit BackendFixture(const std::string& faults = "[]")
    {
        desk::local::setLogLevel(desk::local::LogLevel::Error);
        config.data = folder.path();
        config.threads = 1;
        const auto decoded = decodeFaults(faults);
        CHECK(decoded.has_value());
        config.faults = *decoded;
        start();
    }
    void start()
    {
        auto started = desk::local::Backend::start(config);
        if (!started)
            fail(__FILE__, __LINE__, started.error().message);
        backend = std::move(*started);
        auto key = fileBytes(folder.path() / "key");
        key.pop_back();
        probe = BackendProbe(backend->ready().url, key);
    }
    void restart()
    {
        backend.reset();
        start();
    }
    TempFolder folder;
    desk::local::BackendConfig config;
    std::unique_ptr<desk::local::Backend> backend;
    BackendProbe probe;
};

} // namespace desk::check
