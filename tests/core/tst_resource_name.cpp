// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/core/resource_name.h"
#include "tests/support/check.h"

TEST(checkpointName_roundTrips)
{
    const std::string text =
        "accounts/desk-local/rlorTrainerJobs/job-7/checkpoints/step-0-45dda197";
    const auto name = desk::parseCheckpointName(text);
    CHECK(name.has_value());
    CHECK_EQUAL(name->account, "desk-local");
    CHECK_EQUAL(name->job, "job-7");
    CHECK_EQUAL(name->checkpoint, "step-0-45dda197");
    CHECK_EQUAL(name->toString(), text);
    CHECK_EQUAL(name->jobName().toString(), "accounts/desk-local/rlorTrainerJobs/job-7");
}

TEST(checkpointName_malformedIsUsage)
{
    for (const char* text :
        { "", "step-1", "accounts/a/rlorTrainerJobs/j", "accounts//rlorTrainerJobs/j/checkpoints/c",
            "accounts/a/rlorTrainerJobs/j/checkpoints/",
            "accounts/a/rlorTrainerJobs/../checkpoints/c", "accounts/a/jobs/j/checkpoints/c",
            "accounts/a/rlorTrainerJobs/j/checkpoints/c/d",
            "accounts/a/rlorTrainerJobs/j/checkpoints/c\n" }) {
        const auto name = desk::parseCheckpointName(text);
        CHECK(!name.has_value());
        CHECK(name.error().code == desk::Error::Code::Usage);
    }
}

TEST(modelId_rulesOfTheSdk)
{
    CHECK(desk::validateOutputModelId("math-8b-grpo-step-400").empty());
    CHECK(desk::validateOutputModelId(std::string(63, 'a')).empty());
    CHECK_EQUAL(desk::validateOutputModelId("").at(0), "output_model_id is required");
    CHECK_EQUAL(desk::validateOutputModelId("My_Model").at(0),
        "output_model_id 'My_Model' contains invalid characters. Must be lowercase a-z, 0-9, or "
        "hyphen.");
    CHECK_EQUAL(desk::validateOutputModelId(std::string(64, 'a')).size(), 1U);
    CHECK_EQUAL(desk::validateOutputModelId(std::string(64, 'A')).size(), 2U);
    CHECK(!desk::validateOutputModelId("good\n").empty());
}

TEST(trainerUrl_isDerived)
{
    CHECK_EQUAL(desk::trainerUrl("http://127.0.0.1:9/", { "local", "job-1" }),
        "http://127.0.0.1:9/training/v1/rlorTrainerJobs/local/job-1");
}

CHECK_MAIN()
