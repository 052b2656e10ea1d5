// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/codecs/control_codec.h"

#include "services/codecs/json_text.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <vector>

namespace desk {
namespace {

    using ControlJson = nlohmann::ordered_json;

    constexpr JsonLimits kControlLimits { std::size_t { 1 } << 20, 8, 10'000 };
    constexpr std::size_t kMaxCommandBytes = 1024;
    constexpr std::size_t kMaxSaveName = 100;
    constexpr std::int64_t kMaxTtlSeconds = std::int64_t { 10 } * 365 * 86400;

    Error controlError(Error::Code code, std::string message, std::string next = {})
    {
        return { code, std::move(message), "Nothing was saved or changed", std::move(next), {} };
    }

    std::string controlText(const ControlJson& json, const char* key)
    {
        const auto it = json.find(key);
        return it != json.end() && it->is_string() ? it->get<std::string>() : std::string {};
    }

    template <class T>
    std::optional<T> controlNumber(const ControlJson& json, const char* key)
    {
        const auto it = json.find(key);
        if (it == json.end() || !it->is_number())
            return std::nullopt;
        if constexpr (std::is_integral_v<T>) {
            if (!it->is_number_integer())
                return std::nullopt;
            if (std::is_unsigned_v<T> && !it->is_number_unsigned())
                return std::nullopt;
        }
        return it->get<T>();
    }

    template <class T>
    ControlJson orNull(const std::optional<T>& value)
    {
        return value ? ControlJson(*value) : ControlJson(nullptr);
    }

    std::string controlLine(const ControlJson& json)
    {
        return json.dump(-1, ' ', false, ControlJson::error_handler_t::replace);
    }

    Error::Code controlCode(std::string_view word)
    {
        using Code = Error::Code;
        for (const auto code : { Code::Usage, Code::Unreadable, Code::Malformed, Code::Refused,
                 Code::NotFound, Code::Conflict, Code::Auth, Code::Quota, Code::Unreachable,
                 Code::Backend, Code::Canceled, Code::Unknown, Code::Full }) {
            if (word == toString(code))
                return code;
        }
        return Code::Backend;
    }

    /// The reply as an object, or the error that it carries.
    Result<ControlJson> controlReply(std::string_view line)
    {
        if (const auto bounds = checkJsonBounds(line, kControlLimits); !bounds)
            return bounds.error();
        auto json = ControlJson::parse(line, nullptr, false);
        if (!json.is_object())
            return Error { Error::Code::Malformed,
                "The run answered on its control socket with something that is no JSON object", {},
                "Look at trainer.log in the run folder", {} };
        const auto it = json.find("error");
        if (it == json.end() || it->is_null())
            return json;
        if (!it->is_object())
            return Error { Error::Code::Backend, "The run reported a failure without a reason", {},
                "Look at trainer.log in the run folder", {} };
        return Error { controlCode(controlText(*it, "code")), controlText(*it, "message"),
            controlText(*it, "unchanged"), controlText(*it, "next"),
            controlText(*it, "request_id") };
    }

    std::vector<std::string_view> wordsOf(std::string_view line)
    {
        std::vector<std::string_view> words;
        std::size_t at = 0;
        while (at < line.size()) {
            const auto begin = line.find_first_not_of(" \t\r\n", at);
            if (begin == std::string_view::npos)
                break;
            const auto end = std::min(line.find_first_of(" \t\r\n", begin), line.size());
            words.push_back(line.substr(begin, end - begin));
            at = end;
        }
        return words;
    }

    Result<ControlCommand> parseSave(const std::vector<std::string_view>& words)
    {
        if (words.size() < 3 || words.size() > 4)
            return controlError(Error::Code::Usage,
                "save takes a kind, a name and perhaps a lifetime",
                "Write: save state|base|delta NAME [TTL_SECONDS]");
        ControlCommand command;
        command.verb = ControlCommand::Verb::Save;
        command.kind = words[1];
        command.name = words[2];
        if (command.kind != "state" && command.kind != "base" && command.kind != "delta")
            return controlError(Error::Code::Usage,
                "There is no such kind of save: " + command.kind, "Use state, base or delta");
        if (auto problem = problemWithSaveName(command.name); !problem.empty())
            return controlError(Error::Code::Usage, std::move(problem), "Choose another name");
        if (words.size() == 4) {
            std::int64_t seconds = 0;
            const auto text = words[3];
            const auto parsed = std::from_chars(text.data(), text.data() + text.size(), seconds);
            if (parsed.ec != std::errc {} || parsed.ptr != text.data() + text.size() || seconds <= 0
                || seconds > kMaxTtlSeconds)
                return controlError(Error::Code::Usage,
                    "A lifetime is a whole number of seconds from 1 to ten years",
                    "Leave it out for no lifetime");
            command.ttlSeconds = seconds;
        }
        return command;
    }

} // namespace

std::string encodeControlStatus(const ControlStatus& status)
{
    ControlJson json;
    json["state"] = status.state;
    json["run_dir"] = status.runDir;
    json["job"] = status.job;
    json["pid"] = status.pid;
    json["step"] = orNull(status.step);
    json["total_steps"] = orNull(status.totalSteps);
    json["loss"] = orNull(status.loss);
    json["lora_rank"] = status.loraRank;
    json["newest_base"] =
        status.newestBase.empty() ? ControlJson(nullptr) : ControlJson(status.newestBase);
    json["busy_with"] =
        status.busyWith.empty() ? ControlJson(nullptr) : ControlJson(status.busyWith);
    return controlLine(json);
}

Result<ControlStatus> decodeControlStatus(std::string_view line)
{
    const auto json = controlReply(line);
    if (!json)
        return json.error();
    ControlStatus status;
    status.state = controlText(*json, "state");
    status.runDir = controlText(*json, "run_dir");
    status.job = controlText(*json, "job");
    status.pid = controlNumber<std::int64_t>(*json, "pid").value_or(0);
    status.step = controlNumber<std::int64_t>(*json, "step");
    status.totalSteps = controlNumber<std::int64_t>(*json, "total_steps");
    status.loss = controlNumber<double>(*json, "loss");
    const auto rank = controlNumber<std::int64_t>(*json, "lora_rank").value_or(0);
    status.loraRank = static_cast<int>(std::clamp<std::int64_t>(rank, 0, 65536));
    status.newestBase = controlText(*json, "newest_base");
    status.busyWith = controlText(*json, "busy_with");
    return status;
}

std::string encodeControlSaved(const ControlSaved& saved)
{
    const auto text = [](const std::string& value) {
        return value.empty() ? ControlJson(nullptr) : ControlJson(value);
    };
    ControlJson json;
    json["path"] = text(saved.path);
    json["snapshot_name"] = text(saved.snapshotName);
    json["name"] = text(saved.name);
    json["kind"] = saved.kind;
    json["parent"] = text(saved.parent);
    json["bytes"] = orNull(saved.bytes);
    json["ratio"] = orNull(saved.ratio);
    json["changed_fraction"] = orNull(saved.changedFraction);
    return controlLine(json);
}

Result<ControlSaved> decodeControlSaved(std::string_view line)
{
    const auto json = controlReply(line);
    if (!json)
        return json.error();
    ControlSaved saved;
    saved.path = controlText(*json, "path");
    saved.snapshotName = controlText(*json, "snapshot_name");
    saved.name = controlText(*json, "name");
    saved.kind = controlText(*json, "kind");
    saved.parent = controlText(*json, "parent");
    saved.bytes = controlNumber<std::uint64_t>(*json, "bytes");
    saved.ratio = controlNumber<double>(*json, "ratio");
    saved.changedFraction = controlNumber<double>(*json, "changed_fraction");
    if (saved.name.empty() && saved.path.empty())
        return Error { Error::Code::Malformed,
            "The run answered a save without saying what was saved", {},
            "Look at the checkpoints of the job", {} };
    return saved;
}

std::string encodeControlError(const Error& error)
{
    ControlJson json;
    json["error"]["code"] = toString(error.code);
    json["error"]["message"] = error.message;
    json["error"]["unchanged"] = error.unchanged;
    json["error"]["next"] = error.next;
    json["error"]["request_id"] = error.requestId;
    return controlLine(json);
}

std::string problemWithSaveName(std::string_view name)
{
    if (name.empty())
        return "A save needs a name";
    if (name.size() > kMaxSaveName)
        return "The name of a save has at most 100 characters";
    const auto isFine = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')
            || c == '-' || c == '_' || c == '.';
    };
    if (!std::all_of(name.begin(), name.end(), isFine))
        return "The name of a save has only letters, digits, '-', '_' and '.'";
    if (name.front() == '.' || name.front() == '-')
        return "The name of a save starts with a letter, a digit or '_'";
    return {};
}

Result<ControlCommand> parseControlCommand(std::string_view line)
{
    if (line.size() > kMaxCommandBytes)
        return controlError(Error::Code::Usage, "The command is longer than 1024 bytes");
    const auto words = wordsOf(line);
    if (words.empty())
        return controlError(
            Error::Code::Usage, "The command is empty", "Use status, save, pause, continue, stop");
    if (words[0] == "save")
        return parseSave(words);
    ControlCommand command;
    if (words.size() == 1 && words[0] == "status")
        command.verb = ControlCommand::Verb::ReadStatus;
    else if (words.size() == 1 && words[0] == "pause")
        command.verb = ControlCommand::Verb::Pause;
    else if (words.size() == 1 && words[0] == "continue")
        command.verb = ControlCommand::Verb::Continue;
    else if (words.size() == 1 && words[0] == "stop")
        command.verb = ControlCommand::Verb::Stop;
    else
        return controlError(Error::Code::Usage, "The run does not know this command",
            "Use status, save KIND NAME [TTL], pause, continue, stop");
    return command;
}

} // namespace desk
