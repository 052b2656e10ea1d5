// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <functional>
#include <string>

namespace desk {

class Ctl;

// The verbs of trainerdesk-ctl. Each starts its work and returns; Ctl::ended() says when it is
// over.

void listConnections(Ctl& ctl);
void addConnection(Ctl& ctl);
void removeConnection(Ctl& ctl);
void testConnection(Ctl& ctl);

void listJobs(Ctl& ctl);
void showJob(Ctl& ctl);
void createJob(Ctl& ctl);
void resumeJob(Ctl& ctl);
void cancelJob(Ctl& ctl);
void deleteJob(Ctl& ctl);
void listCheckpoints(Ctl& ctl);
void showCheckpoint(Ctl& ctl);
void extendCheckpoint(Ctl& ctl);
void deleteCheckpoints(Ctl& ctl);
void resumeReference(Ctl& ctl);

void listModels(Ctl& ctl);
void showModel(Ctl& ctl);
void deleteModel(Ctl& ctl);
void exportModel(Ctl& ctl);
void listDeployments(Ctl& ctl);
void showDeployment(Ctl& ctl);
void createDeployment(Ctl& ctl);
void deleteDeployment(Ctl& ctl);
void scaleDeployment(Ctl& ctl);
void previousSnapshot(Ctl& ctl);

void save(Ctl& ctl);
void promote(Ctl& ctl);
void hotload(Ctl& ctl);
void listOperations(Ctl& ctl);
void showOperation(Ctl& ctl);
void reconcileOperations(Ctl& ctl);

void train(Ctl& ctl);
void rehearse(Ctl& ctl);
void readMetrics(Ctl& ctl);
void complete(Ctl& ctl);

/// The verb by its words; empty if there is none.
[[nodiscard]] std::function<void(Ctl&)> verbFor(const std::string& words);

} // namespace desk
