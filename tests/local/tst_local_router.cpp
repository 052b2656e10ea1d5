// SPDX-License-Identifier: GPL-3.0-or-later
// Routes, trainer prefixes, keys, faults.
#include "services/codecs/error_codec.h"
#include "services/codecs/faults_codec.h"
#include "services/local/server/auth.h"
#include "services/local/server/fault_plan.h"
#include "services/local/server/router.h"
#include "tests/support/check.h"

namespace {

using desk::local::HttpRequest;
using desk::local::HttpResponse;
using desk::local::Router;

HttpRequest requestFor(const std::string& method, const std::string& target)
{
    HttpRequest request;
    request.method = method;
    CHECK(desk::local::splitTarget(target, request));
    return request;
}

struct RouterFixture
{
    RouterFixture()
    {
        add("GET", "/v1/accounts/{a}/things/{t}", "get");
        add("DELETE", "/v1/accounts/{a}/things/{t}", "delete");
        add("POST", "/v1/accounts/{a}/things/{t}:promote", "promote");
        add("POST", "/v1/accounts/{a}/things", "create");
        add("POST", "/api/v1/forward", "forward");
    }
    void add(const char* method, const char* path, const std::string& name)
    {
        router.add(
            method, path, [this, name](HttpRequest request, desk::local::Responder responder) {
                seen = std::move(request);
                responder.send(desk::local::jsonResponse(name));
            });
    }
    HttpResponse route(const std::string& method, const std::string& target)
    {
        HttpResponse answer;
        router.route(requestFor(method, target),
            desk::local::makeResponder([&](HttpResponse response, bool) { answer = response; }));
        return answer;
    }
    Router router;
    HttpRequest seen;
};

TEST(parameters_verbs_and_queries_are_found)
{
    RouterFixture fixture;
    CHECK_EQUAL(fixture.route("GET", "/v1/accounts/local/things/t-1").body, "get");
    CHECK_EQUAL(fixture.seen.parameter("a"), "local");
    CHECK_EQUAL(fixture.seen.parameter("t"), "t-1");
    CHECK_EQUAL(fixture.route("POST", "//v1/accounts/local/things/step-1:promote?x=a%2Bb+c").body,
        "promote");
    CHECK_EQUAL(fixture.seen.parameter("t"), "step-1");
    CHECK_EQUAL(fixture.seen.queryValue("x"), "a+b c");
    CHECK_EQUAL(fixture.route("GET", "/v1/accounts/local/things/run:train:0").body, "get");
    CHECK_EQUAL(fixture.seen.parameter("t"), "run:train:0");
}

TEST(an_encoded_slash_stays_in_its_segment)
{
    RouterFixture fixture;
    CHECK_EQUAL(fixture.route("GET", "/v1/accounts/local/things/a%2F..%2Fb").body, "get");
    CHECK_EQUAL(fixture.seen.parameter("t"), "a/../b");
}

TEST(unknown_paths_are_404_and_other_methods_405)
{
    RouterFixture fixture;
    CHECK_EQUAL(fixture.route("GET", "/v1/nothing").status, 404);
    CHECK_EQUAL(fixture.route("POST", "/v1/accounts/local/things/t:unknown").status, 405);
    const auto answer = fixture.route("PUT", "/v1/accounts/local/things/t");
    CHECK_EQUAL(answer.status, 405);
    CHECK_EQUAL(answer.headers.at(0).name, "Allow");
    CHECK_EQUAL(answer.headers.at(0).value, "GET, DELETE");
}

TEST(any_prefix_before_a_trainer_is_lifted)
{
    RouterFixture fixture;
    for (const char* target : { "/training/v1/rlorTrainerJobs/local/job-7/api/v1/forward",
             "/a/b/c/rlorTrainerJobs/local/job-7//api/v1/forward" }) {
        CHECK_EQUAL(fixture.route("POST", target).body, "forward");
        CHECK_EQUAL(fixture.seen.trainerAccount, "local");
        CHECK_EQUAL(fixture.seen.trainerJob, "job-7");
    }
    CHECK_EQUAL(fixture.route("POST", "/api/v1/forward").body, "forward");
    CHECK_EQUAL(fixture.seen.trainerJob, "");
}

HttpRequest withHeader(const char* name, const std::string& value)
{
    HttpRequest request;
    request.headers.push_back({ name, value });
    return request;
}

TEST(keys_come_in_either_header_with_and_without_prefix)
{
    const std::string key = "0123456789abcdef";
    CHECK(desk::local::isAuthorized(withHeader("x-api-key", key), key));
    CHECK(desk::local::isAuthorized(withHeader("X-API-Key", "tml-" + key), key));
    CHECK(desk::local::isAuthorized(withHeader("authorization", "bearer " + key), key));
    CHECK(
        desk::local::isAuthorized(withHeader("Authorization", "Bearer tml-" + key), "tml-" + key));
    CHECK(!desk::local::isAuthorized(withHeader("X-Api-Key", key + "0"), key));
    CHECK(!desk::local::isAuthorized(withHeader("X-Api-Key", "0123"), key));
    CHECK(!desk::local::isAuthorized(withHeader("X-Api-Key", ""), key));
    CHECK(!desk::local::isAuthorized(withHeader("Authorization", key), key));
    CHECK(!desk::local::isAuthorized(HttpRequest {}, key));
    CHECK(!desk::local::sameKey("tml-", "tml-"));
    CHECK(!desk::local::sameKey("", ""));
}

TEST(globs_match_across_slashes)
{
    CHECK(desk::local::matchesGlob(
        "*/checkpoints/*:promote", "/v1/accounts/a/checkpoints/c:promote"));
    CHECK(desk::local::matchesGlob("/hot_load/*", "/hot_load/v1/models/hot_load"));
    CHECK(desk::local::matchesGlob("*", ""));
    CHECK(!desk::local::matchesGlob("/hot_load/*", "/x/hot_load/v1"));
    CHECK(!desk::local::matchesGlob("POST", "POSTS"));
}

TEST(faults_count_their_own_matches)
{
    auto faults = desk::decodeFaults(
        R"([{"route":"POST */x","nth":2,"action":"drop-reply"},
            {"route":"* /hot_load/*","action":"replica-error","replica":2},
            {"route":"GET /slow","action":"delay","ms":40},
            {"route":"GET /busy","action":"status","status":503,"retry_after":2}])");
    CHECK(faults.has_value());
    desk::local::FaultPlan plan(*faults);
    CHECK(!plan.next("GET", "/a/x").dropsReply);
    CHECK(!plan.next("POST", "/a/x").dropsReply);
    CHECK(plan.next("POST", "/b/x").dropsReply);
    CHECK(!plan.next("POST", "/a/x").dropsReply);
    CHECK_EQUAL(plan.next("POST", "/hot_load/v1").replica, 2);
    CHECK_EQUAL(plan.next("GET", "/slow").delay.count(), 40);
    const auto busy = plan.next("GET", "/busy");
    CHECK_EQUAL(busy.status.value_or(0), 503);
    CHECK_EQUAL(busy.retryAfter.value_or(0), 2);
}

TEST(a_fault_may_bring_its_own_words)
{
    auto faults = desk::decodeFaults(
        R"([{"route":"GET /tier","action":"status","status":403,"message":"needs tier",
             "reason":"TIER_REQUIRED","metadata":{"quota_required":"5"}},
            {"route":"GET /old","action":"status","status":409,"body":"{\"error\":\"already exists\"}"},
            {"route":"GET /plain","action":"status","status":502,"body":"bad gateway"}])");
    CHECK(faults.has_value());
    desk::local::FaultPlan plan(*faults);
    const auto tier = plan.next("GET", "/tier");
    CHECK_EQUAL(desk::decodeErrorMessage(tier.body), "needs tier");
    CHECK_EQUAL(desk::decodeErrorInfo(tier.body).reason, "TIER_REQUIRED");
    CHECK_EQUAL(desk::decodeErrorInfo(tier.body).metadata.at("quota_required"), "5");
    CHECK_EQUAL(plan.next("GET", "/old").body, R"({"error":"already exists"})");
    CHECK_EQUAL(plan.next("GET", "/plain").body, "bad gateway");
}

TEST(the_rest_of_a_path_is_one_parameter)
{
    desk::local::Router router;
    std::string seen;
    router.add("GET", "/hf/api/{rest*}",
        [&seen](desk::local::HttpRequest request, desk::local::Responder) {
            seen = "api:" + request.parameter("rest");
        });
    router.add(
        "GET", "/hf/{rest*}", [&seen](desk::local::HttpRequest request, desk::local::Responder) {
            seen = request.parameter("rest");
        });
    const auto go = [&](const char* target) {
        desk::local::HttpRequest request;
        request.method = "GET";
        CHECK(desk::local::splitTarget(target, request));
        int status = 0;
        router.route(request,
            desk::local::makeResponder(
                [&status](desk::local::HttpResponse response, bool) { status = response.status; }));
        return status;
    };
    go("/hf/org/name/resolve/main/a.json");
    CHECK_EQUAL(seen, "org/name/resolve/main/a.json");
    go("/hf/api/models/x");
    CHECK_EQUAL(seen, "api:models/x");
    go("/hf/one");
    CHECK_EQUAL(seen, "one");
    CHECK_EQUAL(go("/hf"), 404);
}

TEST(malformed_faults_are_refused)
{
    for (const char* text : { "", "{}", "[1]", "[{}]", R"([{"route":"GET /"}])",
             R"([{"route":"GET","action":"delay"}])", R"([{"route":"GET /","action":"explode"}])",
             R"([{"route":"GET /","action":"status","status":200}])",
             R"([{"route":"GET /","action":"delay","ms":-1}])",
             R"([{"route":"GET /","action":"delay","nth":0}])",
             R"([{"route":"GET /","action":"status","metadata":{"a":1}}])",
             R"([{"route":"GET /","action":"status","body":{}}])",
             R"([{"route":"GET /","action":"delay","oops":1}])" }) {
        auto faults = desk::decodeFaults(text);
        CHECK(!faults.has_value());
        CHECK(faults.error().code == desk::Error::Code::Malformed);
    }
}

} // namespace

CHECK_MAIN()
