// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

// Runs the real trainerdesk-local as a child process.

#include "services/codecs/ready_codec.h"
#include "tests/local/backend_probe.h"
#include "tests/local/temp_folder.h"
#include "tests/support/check.h"

#include <chrono>
#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <string>
#include <sys/resource.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace desk::check {

class ProcessProbe
{
public:
    /// Starts the program; output goes to `out` and `err` in `folder`. fileLimit 0: no limit.
    ProcessProbe(const std::filesystem::path& folder, const std::vector<std::string>& arguments,
        rlim_t fileLimit = 0)
        : m_out(folder / "out")
        , m_err(folder / "err")
    {
        std::filesystem::remove(m_out);
        std::vector<std::string> words { DESK_BIN_DIR "/trainerdesk-local" };
        words.insert(words.end(), arguments.begin(), arguments.end());
        m_pid = ::fork();
        if (m_pid != 0)
            return;
        redirect(m_out, 1);
        redirect(m_err, 2);
        if (fileLimit > 0) {
            const rlimit limit { fileLimit, fileLimit };
            ::setrlimit(RLIMIT_FSIZE, &limit);
        }
        std::vector<char*> raw;
        for (auto& word : words)
            raw.push_back(word.data());
        raw.push_back(nullptr);
        ::execv(raw[0], raw.data());
        ::_exit(127);
    }
    ProcessProbe(const ProcessProbe&) = delete;
    ProcessProbe& operator=(const ProcessProbe&) = delete;
    ~ProcessProbe() { killNow(); }

    /// The ready line; the test fails if the process ends instead.
    ReadyLine ready()
    {
        for (int i = 0; i < 4000; ++i) {
            const auto text = fileBytes(m_out);
            if (!text.empty() && text.back() == '\n') {
                const auto line = decodeReadyLine(text);
                CHECK(line.has_value());
                return *line;
            }
            if (hasEnded())
                fail(__FILE__, __LINE__, "the backend ended: " + fileBytes(m_err));
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        }
        fail(__FILE__, __LINE__, "the backend did not get ready");
    }
    BackendProbe probe()
    {
        const auto line = ready();
        auto key = fileBytes(line.keyFile);
        key.pop_back();
        return { line.url, key };
    }
    void send(int signal) const { ::kill(m_pid, signal); }
    void killNow()
    {
        if (m_pid <= 0)
            return;
        ::kill(m_pid, SIGKILL);
        waitForEnd();
    }
    /// Exit code; -1 if a signal ended it.
    int waitForEnd()
    {
        if (m_pid > 0) {
            ::waitpid(m_pid, &m_state, 0);
            m_pid = 0;
        }
        return WIFEXITED(m_state) ? WEXITSTATUS(m_state) : -1;
    }
    std::string errors() const { return fileBytes(m_err); }
    std::string output() const { return fileBytes(m_out); }

private:
    static void redirect(const std::filesystem::path& file, int descriptor)
    {
        const int opened = ::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
        ::dup2(opened, descriptor);
        ::close(opened);
    }
    bool hasEnded()
    {
        if (m_pid <= 0 || ::waitpid(m_pid, &m_state, WNOHANG) != m_pid)
            return m_pid <= 0;
        m_pid = 0;
        return true;
    }

    std::filesystem::path m_out;
    std::filesystem::path m_err;
    pid_t m_pid = 0;
    int m_state = 0;
};

} // namespace desk::check
