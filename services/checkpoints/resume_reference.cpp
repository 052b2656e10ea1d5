// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/checkpoints/resume_reference.h"

#include "services/core/resource_name.h"

#include <algorithm>
#include <charconv>

namespace desk {
namespace {

    constexpr std::size_t kSuffixDigits = 8;
    constexpr std::size_t kRunDigits = 32;
    constexpr std::string_view kCrossJob = "cross_job://";
    constexpr std::string_view kStep = "step-";

    bool isHex(std::string_view text)
    {
        return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
            return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
        });
    }

    bool isPlainName(std::string_view text)
    {
        return !text.empty() && text != "." && text != ".."
            && std::all_of(text.begin(), text.end(), [](char c) {
                   return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')
                       || c == '-' || c == '_' || c == '.';
               });
    }

    Error badReference(std::string_view text, const char* why)
    {
        return { Error::Code::Usage,
            "\"" + std::string(text.substr(0, 200)) + "\" names no checkpoint: " + why,
            "Nothing was loaded",
            "Write step-40, JOB:step-40, or the checkpoint's full resource name", {} };
    }

    /// <account>/run-<32 hex>/<name>
    bool isServerlessReference(std::string_view text)
    {
        const auto slash = text.find('/');
        if (slash == std::string_view::npos || slash == 0)
            return false;
        const auto run = text.substr(slash + 1);
        return run.substr(0, 4) == "run-" && run.size() > 4 + kRunDigits
            && isHex(run.substr(4, kRunDigits)) && run[4 + kRunDigits] == '/';
    }

    ResumeReference ofJob(std::string_view job, std::string_view name, std::string_view current)
    {
        ResumeReference reference;
        reference.job = job;
        reference.name = name;
        const bool isCurrent = job == current;
        reference.form =
            isCurrent ? ResumeReference::Form::SameJob : ResumeReference::Form::OtherJob;
        reference.loadPath = isCurrent
            ? std::string(name)
            : std::string(kCrossJob) + std::string(job) + "/" + std::string(name);
        reference.restoresStep = isCurrent;
        reference.restoresDataCursor = isCurrent;
        reference.statement = isCurrent
            ? "Weights, optimizer, step and data cursor of " + reference.name + " are restored"
            : "Weights and optimizer of " + reference.name + " of the job " + reference.job
                + " are restored; step and data start again at 0";
        return reference;
    }

    ResumeReference bare(std::string_view name)
    {
        ResumeReference reference;
        reference.name = name;
        reference.loadPath = name;
        reference.statement = "Weights and optimizer of " + reference.name
            + " are restored; step and data start again at 0";
        reference.warnings.push_back(
            "A bare name restarts step and data cursor; JOB:" + reference.name + " restores them");
        return reference;
    }

    ResumeReference path(std::string_view text)
    {
        ResumeReference reference;
        reference.form = ResumeReference::Form::Path;
        reference.name = text;
        reference.loadPath = text;
        reference.statement = "Weights and optimizer of " + reference.name
            + " are restored; step and data start again at 0";
        reference.warnings.push_back(
            "Paths are refused by newer recipes; JOB:NAME says the same and stays valid");
        return reference;
    }

    Result<ResumeReference> checked(ResumeReference reference, std::string_view text)
    {
        if (!isPlainName(reference.name))
            return badReference(text, "a state has a name of letters, digits, '-', '_' and '.'");
        if (reference.form != ResumeReference::Form::Bare && !isPlainName(reference.job))
            return badReference(text, "the part before the name is no job id");
        if (!sessionSuffixOf(reference.name).empty())
            reference.warnings.push_back(reference.name
                + " looks like a sampler save, which cannot be loaded as a training state");
        return reference;
    }

} // namespace

std::string_view sessionSuffixOf(std::string_view name) noexcept
{
    if (name.size() <= kSuffixDigits + 1 || name[name.size() - kSuffixDigits - 1] != '-')
        return {};
    const auto digits = name.substr(name.size() - kSuffixDigits);
    return isHex(digits) ? digits : std::string_view();
}

std::string_view withoutSessionSuffix(std::string_view name) noexcept
{
    return sessionSuffixOf(name).empty() ? name : name.substr(0, name.size() - kSuffixDigits - 1);
}

std::optional<std::int64_t> stepOfName(std::string_view name)
{
    for (auto at = name.find(kStep); at != std::string_view::npos; at = name.find(kStep, at + 1)) {
        if (at > 0 && name[at - 1] != '-' && name[at - 1] != '_')
            continue;
        const auto digits = name.substr(at + kStep.size());
        std::int64_t step = 0;
        const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), step);
        if (parsed.ec == std::errc {} && step >= 0)
            return step;
    }
    return std::nullopt;
}

std::string resumeReferenceFor(std::string_view job, std::string_view name)
{
    return std::string(lastSegment(job)) + ":" + std::string(name);
}

Result<ResumeReference> parseResumeReference(std::string_view text, std::string_view currentJob)
{
    const auto isSpace = [](char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; };
    while (!text.empty() && isSpace(text.front()))
        text.remove_prefix(1);
    while (!text.empty() && isSpace(text.back()))
        text.remove_suffix(1);
    const auto current = lastSegment(currentJob);
    if (text.empty())
        return badReference(text, "it is empty");
    if (text.substr(0, kCrossJob.size()) == kCrossJob) {
        const auto rest = text.substr(kCrossJob.size());
        const auto slash = rest.find('/');
        if (slash == std::string_view::npos)
            return badReference(text, "it is cross_job://JOB/NAME");
        return checked(ofJob(rest.substr(0, slash), rest.substr(slash + 1), current), text);
    }
    if (text.front() == '/' || text.find("://") != std::string_view::npos)
        return path(text);
    if (isServerlessReference(text))
        return Error { Error::Code::Refused,
            std::string(text.substr(0, 200))
                + " belongs to a serverless run, which a dedicated trainer cannot load",
            "Nothing was loaded", "Name a state of a trainer job: JOB:NAME", {} };
    if (const auto row = parseCheckpointName(text))
        return checked(ofJob(row->job, row->checkpoint, current), text);
    if (const auto colon = text.find(':'); colon != std::string_view::npos)
        return checked(ofJob(text.substr(0, colon), text.substr(colon + 1), current), text);
    return checked(bare(text), text);
}

} // namespace desk
