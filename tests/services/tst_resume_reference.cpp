// SPDX-License-Identifier: GPL-3.0-or-later
// The reference grammar of runs.md 2.4.
#include "services/checkpoints/resume_reference.h"
#include "tests/support/check.h"

using namespace desk;
using Form = ResumeReference::Form;

TEST(formsOfAReference)
{
    struct Row
    {
        const char* text;
        Form form;
        const char* loadPath;
        bool restoresStep;
    };
    constexpr const char* kJob = "accounts/a/rlorTrainerJobs/job-7";
    const Row rows[] = {
        { "step-40", Form::Bare, "step-40", false },
        { " train_state_1 ", Form::Bare, "train_state_1", false },
        { "job-7:step-40", Form::SameJob, "step-40", true },
        { "job-6:step-40", Form::OtherJob, "cross_job://job-6/step-40", false },
        { "cross_job://job-6/step-4", Form::OtherJob, "cross_job://job-6/step-4", false },
        { "cross_job://job-7/step-4", Form::SameJob, "step-4", true },
        { "accounts/a/rlorTrainerJobs/job-7/checkpoints/step-9", Form::SameJob, "step-9", true },
        { "accounts/a/rlorTrainerJobs/job-5/checkpoints/step-9", Form::OtherJob,
            "cross_job://job-5/step-9", false },
        { "gs://bucket/x", Form::Path, "gs://bucket/x", false },
        { "/abs/x", Form::Path, "/abs/x", false },
        { "tinker://run/weights/x", Form::Path, "tinker://run/weights/x", false },
    };
    for (const auto& row : rows) {
        const auto reference = parseResumeReference(row.text, kJob);
        CHECK(reference);
        if (!reference)
            continue;
        CHECK(reference->form == row.form);
        CHECK_EQUAL(reference->loadPath, std::string(row.loadPath));
        CHECK_EQUAL(reference->restoresStep, row.restoresStep);
        CHECK_EQUAL(reference->restoresDataCursor, row.restoresStep);
        CHECK(reference->restoresWeights && reference->restoresOptimizer);
        CHECK(!reference->statement.empty());
    }
}

TEST(sentencesSayWhatIsRestored)
{
    CHECK_EQUAL(parseResumeReference("job-7:step-40", "job-7")->statement,
        std::string("Weights, optimizer, step and data cursor of step-40 are restored"));
    CHECK_EQUAL(parseResumeReference("job-6:step-40", "job-7")->statement,
        std::string("Weights and optimizer of step-40 of the job job-6 are restored; step and data "
                    "start again at 0"));
    const auto bare = parseResumeReference("step-40", "job-7");
    CHECK_EQUAL(bare->warnings.size(), std::size_t { 1 });
    CHECK_EQUAL(parseResumeReference("/x", "")->warnings.size(), std::size_t { 1 });
    const auto sampler = parseResumeReference("job-7:step-40-0a1b2c3d", "job-7");
    CHECK_EQUAL(sampler->warnings.size(), std::size_t { 1 });
    CHECK(sampler->warnings[0].find("sampler save") != std::string::npos);
    CHECK(parseResumeReference("job-7:step-40", "job-7")->warnings.empty());
}

TEST(whatIsNoReference)
{
    for (const char* text : { "", "  ", "a/b", "job-7:", ":step-4", "job 7:x", "cross_job://x",
             "cross_job:///x", "..", "job:a:b", "accounts/a/rlorTrainerJobs/j" }) {
        const auto reference = parseResumeReference(text, "job-7");
        CHECK(!reference);
        if (!reference)
            CHECK(reference.error().code == Error::Code::Usage);
    }
    const auto serverless =
        parseResumeReference("acct/run-0123456789abcdef0123456789abcdef/step-4", "job-7");
    CHECK(!serverless && serverless.error().code == Error::Code::Refused);
}

TEST(namesAndSteps)
{
    CHECK_EQUAL(resumeReferenceFor("accounts/a/rlorTrainerJobs/job-7", "step-4"),
        std::string("job-7:step-4"));
    CHECK(stepOfName("step-40") == 40);
    CHECK(stepOfName("step-0001-8859ae61") == 1);
    CHECK(stepOfName("state-step-7") == 7);
    CHECK(stepOfName("run-0123-step-0") == 0);
    CHECK(!stepOfName("final"));
    CHECK(!stepOfName("footstep-4"));
    CHECK(!stepOfName("step-x"));
    CHECK_EQUAL(withoutSessionSuffix("step-1-8859ae61"), std::string_view("step-1"));
    CHECK_EQUAL(withoutSessionSuffix("step-1-8859AE61"), std::string_view("step-1-8859AE61"));
    CHECK_EQUAL(sessionSuffixOf("step-1-8859ae61"), std::string_view("8859ae61"));
    CHECK(sessionSuffixOf("8859ae61").empty());
}

CHECK_MAIN()
