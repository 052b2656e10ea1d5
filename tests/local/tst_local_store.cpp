// SPDX-License-Identifier: GPL-3.0-or-later
// Rows and folders: what a crash leaves is mended, what expires goes, nothing is done twice.
#include "services/local/objects/data_lock.h"
#include "services/local/objects/database.h"
#include "services/local/objects/files.h"
#include "services/local/objects/object_store.h"
#include "tests/local/temp_folder.h"
#include "tests/support/check.h"

#include <filesystem>
#include <memory>
#include <sys/stat.h>

namespace {

using desk::check::TempFolder;
using desk::local::CheckpointRow;
using desk::local::CheckpointSpace;
using desk::local::JobRow;
using desk::local::ObjectStore;

class TestClock final : public desk::Clock
{
public:
    desk::Time now() const override { return m_now; }
    void advance(std::chrono::seconds seconds) { m_now += seconds; }

private:
    desk::Time m_now { std::chrono::seconds(1'795'000'000) };
};

struct StoreFixture
{
    StoreFixture() { reopen(); }
    void reopen()
    {
        store.reset();
        auto opened = ObjectStore::open(folder.path(), "local", clock);
        CHECK(opened.has_value());
        store = std::move(*opened);
    }
    void addJob(const std::string& id)
    {
        JobRow row;
        row.id = id;
        row.job.state = desk::JobState::Running;
        row.job.baseModel = "accounts/local/models/m";
        row.job.created = clock.now();
        CHECK(store->addJob(row).has_value());
    }
    CheckpointRow save(const std::string& job, const std::string& id,
        desk::CheckpointType type = desk::CheckpointType::InferenceBase)
    {
        CheckpointRow row;
        row.job = job;
        row.id = id;
        row.record.type = type;
        row.space = type == desk::CheckpointType::Training ? CheckpointSpace::State
                                                           : CheckpointSpace::Sampler;
        row.record.created = clock.now();
        row.folder = store->freshFolder("jobs/" + job + "/x/" + id);
        desk::check::writeBytes(store->absolute(row.folder) / "model.safetensors", "weights");
        return row;
    }
    TempFolder folder;
    TestClock clock;
    std::unique_ptr<ObjectStore> store;
};

TEST(a_job_id_is_taken_for_good)
{
    StoreFixture fixture;
    fixture.addJob("j");
    JobRow again;
    again.id = "j";
    CHECK(fixture.store->addJob(again).error().code == desk::Error::Code::Conflict);
    CHECK(fixture.store->buryJob("j").has_value());
    CHECK(fixture.store->addJob(again).error().code == desk::Error::Code::Conflict);
    CHECK_EQUAL(fixture.store->jobs()->size(), 0U);
    CHECK(fixture.store->job("j")->job.state == desk::JobState::Archived);
}

TEST(rows_survive_a_second_opening)
{
    StoreFixture fixture;
    fixture.addJob("j");
    auto row = fixture.save("j", "step-1");
    row.record.step = 7;
    row.record.sizeBytes = 1000;
    row.record.changedFraction = 0.25;
    row.record.parent = "p";
    row.record.isPromotable = true;
    CHECK(fixture.store->addCheckpoint(row, false).has_value());
    fixture.reopen();
    const auto stored = fixture.store->checkpoint("j", "step-1");
    CHECK(stored.has_value());
    CHECK_EQUAL(stored->record.name, "accounts/local/rlorTrainerJobs/j/checkpoints/step-1");
    CHECK_EQUAL(stored->record.step.value_or(0), 7);
    CHECK_EQUAL(stored->record.sizeBytes.value_or(0), 1000U);
    CHECK_EQUAL(stored->record.changedFraction.value_or(0), 0.25);
    CHECK_EQUAL(stored->record.parent, "p");
    CHECK(stored->record.isPromotable);
    CHECK(!stored->record.expires.has_value());
}

TEST(a_store_keeps_its_account)
{
    StoreFixture fixture;
    fixture.store.reset();
    auto other = ObjectStore::open(fixture.folder.path(), "other", fixture.clock);
    CHECK(!other.has_value());
    CHECK(other.error().code == desk::Error::Code::Refused);
    CHECK(other.error().message.find("account local") != std::string::npos);
}

TEST(orphans_of_a_crash_are_removed_and_nothing_else)
{
    StoreFixture fixture;
    fixture.addJob("j");
    const auto kept = fixture.save("j", "kept");
    CHECK(fixture.store->addCheckpoint(kept, false).has_value());
    const auto orphan = fixture.save("j", "orphan"); // files, no row
    const auto objects = fixture.store->absolute("");
    desk::check::writeBytes(objects / "jobs/j/x/.kept.part-12345678/model.safetensors", "half");
    desk::check::writeBytes(objects / "models/none/model.safetensors", "half");
    desk::check::writeBytes(objects / "replicas/d/0/.load/download/x", "half");
    fixture.store->removeOrphans();
    CHECK(desk::local::pathExists(fixture.store->absolute(kept.folder)));
    CHECK(!desk::local::pathExists(fixture.store->absolute(orphan.folder)));
    CHECK(!desk::local::pathExists(objects / "jobs/j/x/.kept.part-12345678"));
    CHECK(!desk::local::pathExists(objects / "models"));
    CHECK(!desk::local::pathExists(objects / "replicas"));
}

TEST(expired_saves_go_with_their_files)
{
    StoreFixture fixture;
    fixture.addJob("j");
    auto shortLived = fixture.save("j", "short");
    shortLived.record.expires = fixture.clock.now() + std::chrono::seconds(60);
    const auto lasting = fixture.save("j", "lasting");
    CHECK(fixture.store->addCheckpoint(shortLived, false).has_value());
    CHECK(fixture.store->addCheckpoint(lasting, false).has_value());
    fixture.clock.advance(std::chrono::seconds(59));
    fixture.store->removeExpired();
    CHECK_EQUAL(fixture.store->checkpoints("j")->size(), 2U);
    fixture.clock.advance(std::chrono::seconds(1));
    fixture.store->removeExpired();
    CHECK_EQUAL(fixture.store->checkpoints("j")->size(), 1U);
    CHECK(!desk::local::pathExists(fixture.store->absolute(shortLived.folder)));
    CHECK(desk::local::pathExists(fixture.store->absolute(lasting.folder)));
}

TEST(a_tombstone_keeps_its_saves_for_thirty_days)
{
    StoreFixture fixture;
    fixture.addJob("j");
    const auto row = fixture.save("j", "s");
    CHECK(fixture.store->addCheckpoint(row, false).has_value());
    CHECK(fixture.store->buryJob("j").has_value());
    fixture.clock.advance(std::chrono::hours(24 * 29));
    fixture.store->removeExpired();
    CHECK_EQUAL(fixture.store->checkpoints("j")->size(), 1U);
    fixture.clock.advance(std::chrono::hours(24 * 2));
    fixture.store->removeExpired();
    CHECK_EQUAL(fixture.store->checkpoints("j")->size(), 0U);
    CHECK(!fixture.store->job("j").has_value());
    CHECK(!desk::local::pathExists(fixture.store->absolute(row.folder)));
}

TEST(a_state_gives_way_to_one_of_the_same_name_and_a_snapshot_does_not)
{
    StoreFixture fixture;
    fixture.addJob("j");
    const auto first = fixture.save("j", "s", desk::CheckpointType::Training);
    CHECK(fixture.store->addCheckpoint(first, true).has_value());
    const auto second = fixture.save("j", "s", desk::CheckpointType::Training);
    CHECK(first.folder != second.folder);
    CHECK(fixture.store->addCheckpoint(second, true).has_value());
    CHECK(!desk::local::pathExists(fixture.store->absolute(first.folder)));
    CHECK_EQUAL(fixture.store->checkpoints("j")->size(), 1U);
    const auto snapshot = fixture.save("j", "s");
    CHECK(fixture.store->addCheckpoint(snapshot, false).has_value()); // another space
    auto again = fixture.save("j", "s");
    CHECK(fixture.store->addCheckpoint(again, false).error().code == desk::Error::Code::Conflict);
    CHECK(fixture.store->checkpoint("j", "s")->space == CheckpointSpace::Sampler);
}

TEST(checkpoints_are_listed_oldest_first)
{
    StoreFixture fixture;
    fixture.addJob("j");
    for (const char* id : { "b", "a", "c" }) {
        CHECK(fixture.store->addCheckpoint(fixture.save("j", id), false).has_value());
        fixture.clock.advance(std::chrono::seconds(1));
    }
    const auto rows = fixture.store->checkpoints("j");
    CHECK_EQUAL(rows->at(0).id, "b");
    CHECK_EQUAL(rows->at(2).id, "c");
    CHECK_EQUAL(fixture.store->newestSampler("j")->id, "c");
}

TEST(one_promotion_for_one_checkpoint_and_model)
{
    StoreFixture fixture;
    desk::local::OperationRow row;
    row.id = "p1";
    row.checkpoint = "c";
    row.model = "accounts/local/models/m";
    CHECK_EQUAL(fixture.store->beginPromotion(row)->id, "p1");
    row.id = "p2";
    CHECK_EQUAL(fixture.store->beginPromotion(row)->id, "p1");
    row.model = "accounts/local/models/other";
    CHECK_EQUAL(fixture.store->beginPromotion(row)->id, "p2");
    CHECK_EQUAL(fixture.store->openOperations()->size(), 2U);
}

TEST(a_folder_is_held_by_one_process)
{
    TempFolder folder;
    auto first = desk::local::DataLock::acquire(folder.path());
    CHECK(first.has_value());
    auto second = desk::local::DataLock::acquire(folder.path());
    CHECK(!second.has_value());
    CHECK(second.error().code == desk::Error::Code::Conflict);
    CHECK(second.error().message.find(std::to_string(::getpid())) != std::string::npos);
    first->reset();
    CHECK(desk::local::DataLock::acquire(folder.path()).has_value());
}

TEST(files_are_written_whole_and_with_their_mode)
{
    TempFolder folder;
    const auto file = folder.path() / "key";
    CHECK(desk::local::writeFileSafely(file, "one", 0600).has_value());
    CHECK(desk::local::writeFileSafely(file, "two", 0600).has_value());
    CHECK_EQUAL(desk::check::fileBytes(file), "two");
    struct stat facts = {};
    CHECK_EQUAL(::stat(file.c_str(), &facts), 0);
    CHECK_EQUAL(facts.st_mode & 0777U, 0600U);
    CHECK_EQUAL(std::distance(std::filesystem::directory_iterator(folder.path()),
                    std::filesystem::directory_iterator()),
        1);
}

TEST(a_copied_folder_is_equal_and_never_overwrites)
{
    TempFolder folder;
    const auto from = folder.path() / "from";
    const auto to = folder.path() / "a" / "to";
    desk::check::writeBytes(from / "x", std::string(600'000, 'x'));
    desk::check::writeBytes(from / "y", "");
    CHECK(desk::local::copyFolderSafely(from, to).has_value());
    CHECK_EQUAL(desk::check::fileBytes(to / "x"), std::string(600'000, 'x'));
    CHECK_EQUAL(desk::local::folderBytes(to), 600'000U);
    CHECK(desk::local::copyFolderSafely(from, to).error().code == desk::Error::Code::Conflict);
    auto canceled = desk::local::copyFolderSafely(from, folder.path() / "b", [] { return true; });
    CHECK(canceled.error().code == desk::Error::Code::Canceled);
    CHECK(!desk::local::pathExists(folder.path() / "b"));
}

TEST(ids_that_are_no_file_names_are_refused)
{
    for (const char* id : { "", ".", "..", ".hidden", "-x", "a/b", "a b", "a\nb", "ä" })
        CHECK(!desk::local::isSafeId(id));
    for (const char* id : { "a", "step-0010-a1b2c3d4", "v1.2_x" })
        CHECK(desk::local::isSafeId(id));
    CHECK(!desk::local::isSafeId(std::string(121, 'a')));
}

TEST(a_store_of_the_first_schema_is_brought_up_to_date)
{
    StoreFixture fixture;
    fixture.store.reset();
    const auto file = fixture.folder.path() / "old" / "store.sqlite";
    std::filesystem::create_directories(file.parent_path());
    {
        auto database = desk::local::Database::open(file);
        CHECK(database.has_value());
        CHECK((*database)
                  ->script(R"(
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE jobs(
  id TEXT PRIMARY KEY, display_name TEXT NOT NULL, state TEXT NOT NULL, message TEXT NOT NULL,
  base_model TEXT NOT NULL, lora_rank INTEGER NOT NULL, learning_rate REAL,
  max_context INTEGER, created INTEGER NOT NULL, completed INTEGER, created_by TEXT NOT NULL,
  hot_load_deployment TEXT NOT NULL, deleted INTEGER) STRICT;
CREATE TABLE checkpoints(
  serial INTEGER PRIMARY KEY AUTOINCREMENT,
  job TEXT NOT NULL REFERENCES jobs(id) ON DELETE CASCADE, id TEXT NOT NULL, space TEXT NOT NULL,
  type TEXT NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL, expires INTEGER,
  promotable INTEGER NOT NULL, parent TEXT NOT NULL, step INTEGER, size INTEGER, base_size INTEGER,
  changed REAL, folder TEXT NOT NULL, base_model TEXT NOT NULL, UNIQUE(job, space, id)) STRICT;
CREATE TABLE models(
  id TEXT PRIMARY KEY, display_name TEXT NOT NULL, kind TEXT NOT NULL, state TEXT NOT NULL,
  base_model TEXT NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL,
  folder TEXT NOT NULL, promoted_from TEXT NOT NULL, is_base INTEGER NOT NULL,
  job TEXT NOT NULL) STRICT;
CREATE TABLE deployments(
  id TEXT PRIMARY KEY, display_name TEXT NOT NULL, base_model TEXT NOT NULL, state TEXT NOT NULL,
  replica_count INTEGER NOT NULL, enables_hot_load INTEGER NOT NULL, trainer_job TEXT NOT NULL,
  description TEXT NOT NULL, created INTEGER NOT NULL, target_identity TEXT NOT NULL,
  target_folder TEXT NOT NULL, target_parent TEXT NOT NULL, target_serial INTEGER NOT NULL) STRICT;
INSERT INTO meta VALUES('schema','1'),('account','local');
INSERT INTO jobs VALUES('j','n','JOB_STATE_RUNNING','','accounts/local/models/m',0,NULL,NULL,
  1795000000000000,NULL,'local','',NULL);
INSERT INTO checkpoints(job,id,space,type,created,updated,promotable,parent,folder,base_model)
  VALUES('j','b','sampler_weights','CHECKPOINT_TYPE_INFERENCE_BASE',1795000000000000,
  1795000000000000,1,'','jobs/j/b','accounts/local/models/m');
INSERT INTO deployments VALUES('d','','accounts/local/models/m','READY',2,1,'','text',
  1795000000000000,'','','',0);
)")
                  .has_value());
    }
    for (int start = 0; start < 2; ++start) {
        auto store = ObjectStore::open(file.parent_path(), "local", fixture.clock);
        CHECK(store.has_value());
        CHECK_EQUAL((*store)->job("j")->job.displayName, "n");
        CHECK_EQUAL((*store)->checkpoints("j")->at(0).id, "b");
        CHECK_EQUAL((*store)->deployment("d")->record.description, "text");
        CHECK_EQUAL((*store)->deployment("d")->record.replicaCount.value_or(0), 2);
        CHECK_EQUAL((*store)->runs()->size(), 0U);
    }
}

TEST(what_has_expired_is_not_found_before_it_is_swept)
{
    StoreFixture fixture;
    fixture.addJob("j");
    auto row = fixture.save("j", "b");
    row.run = "s:train:0";
    row.record.expires = fixture.clock.now() + std::chrono::seconds(10);
    CHECK(fixture.store->addCheckpoint(row, false).has_value());
    CHECK(fixture.store->snapshot("b").has_value());
    fixture.clock.advance(std::chrono::seconds(10));
    CHECK(!fixture.store->snapshot("b").has_value());
    CHECK(!fixture.store->checkpoint("j", "b").has_value());
    CHECK(!fixture.store->checkpointOfRun("s:train:0", CheckpointSpace::Sampler, "b").has_value());
    CHECK_EQUAL(fixture.store->checkpoints("j")->size(), 0U);
    CHECK_EQUAL(fixture.store->allCheckpoints()->size(), 0U);
    CHECK(!fixture.store->newestSampler("j").has_value());
    CHECK(!fixture.store->newestSave("j").has_value());
    CHECK(fixture.store->setExpiry(row, std::nullopt).error().code == desk::Error::Code::NotFound);
}

TEST(a_snapshot_on_which_a_delta_stands_is_not_deleted)
{
    StoreFixture fixture;
    fixture.addJob("j");
    const auto base = fixture.save("j", "b");
    auto delta = fixture.save("j", "d", desk::CheckpointType::InferenceArcV2);
    delta.record.parent = "b";
    CHECK(fixture.store->addCheckpoint(base, false).has_value());
    CHECK(fixture.store->addCheckpoint(delta, false).has_value());
    const auto refused = fixture.store->removeCheckpoint(base);
    CHECK(refused.error().code == desk::Error::Code::Conflict);
    CHECK_EQUAL(refused.error().next, "delete d first");
    CHECK(desk::local::pathExists(fixture.store->absolute(base.folder)));
    CHECK(fixture.store->removeCheckpoint(delta).has_value());
    CHECK(fixture.store->removeCheckpoint(base).has_value());
    CHECK(!desk::local::pathExists(fixture.store->absolute(base.folder)));
    CHECK(!fixture.store->removeCheckpoint(base).has_value());
}

TEST(runs_and_sessions_survive_a_restart)
{
    StoreFixture fixture;
    desk::local::SessionRow session;
    session.id = "s";
    session.displayName = "night";
    session.userMetadata = { { "recipe", "sl" } };
    CHECK(fixture.store->putSession(session).has_value());
    desk::local::RunRow run;
    run.id = "s:train:0";
    run.session = "s";
    run.job = ObjectStore::jobOfRun(run.id);
    run.loraRank = 16;
    run.trainsMlp = false;
    run.userMetadata = { { "renderer_name", "role_colon" } };
    CHECK(fixture.store->putRun(run).has_value());
    fixture.clock.advance(std::chrono::seconds(5));
    CHECK(fixture.store->touchRun("s:train:0").has_value());
    CHECK(fixture.store->endSession("s", "success", "all done").has_value());
    CHECK(!fixture.store->endSession("none", "success", {}).has_value());
    fixture.reopen();
    const auto kept = fixture.store->run("s:train:0");
    CHECK_EQUAL(kept->job, "s-train-0");
    CHECK_EQUAL(kept->loraRank, 16);
    CHECK(!kept->trainsMlp && kept->trainsAttention);
    CHECK_EQUAL(kept->userMetadata.at("renderer_name"), "role_colon");
    CHECK(kept->lastRequest == *kept->created + std::chrono::seconds(5));
    CHECK_EQUAL(fixture.store->session("s")->end, "success");
    CHECK_EQUAL(fixture.store->session("s")->displayName, "night");
    CHECK_EQUAL(fixture.store->runsOf("s")->size(), 1U);
    CHECK_EQUAL(fixture.store->sessions()->size(), 1U);
}

TEST(the_ledger_of_loads_is_bounded_and_goes_with_its_deployment)
{
    StoreFixture fixture;
    desk::local::DeploymentRow row;
    row.id = "d";
    row.record.state = "READY";
    CHECK(fixture.store->addDeployment(row, {}).has_value());
    for (int i = 0; i < 505; ++i)
        CHECK(fixture.store
                  ->addLoad("d",
                      { fixture.clock.now(), "step-" + std::to_string(i), "pod", i > 0, {}, 0.5 })
                  .has_value());
    CHECK(fixture.store->addLoad("none", { fixture.clock.now(), "x", "pod", false, {}, {} })
              .has_value());
    CHECK_EQUAL(fixture.store->loads("d")->size(), 500U);
    CHECK_EQUAL(fixture.store->loads("d")->at(0).identity, "step-504");
    CHECK_EQUAL(fixture.store->loads("none")->size(), 0U);
    CHECK(fixture.store->forgetLoads("d").has_value());
    CHECK_EQUAL(fixture.store->loads("d")->size(), 0U);
}

} // namespace

CHECK_MAIN()
