// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QHash>
#include <QList>
#include <QWidget>

class QGridLayout;
class QHBoxLayout;
class QLabel;
class QPushButton;
class QStackedWidget;
class QTabBar;
class QToolButton;
class QVBoxLayout;

namespace desk {

class AppModel;
class CodeBlock;
class FactList;
class SpanLabel;
class Tile;
struct InspectorFact;

/// Facts about the selected row with their source and age, its config and JSON, and the actions
/// that it takes (objectName "inspector"). Content comes from InspectorModel.
class Inspector final : public QWidget
{
    Q_OBJECT

public:
    explicit Inspector(AppModel& app, QWidget* parent = nullptr);
    QSize sizeHint() const override;

private:
    QWidget* makeOverview();
    QWidget* makeEmpty();
    QWidget* makeActions();
    void refresh();
    void refreshTiles();
    void refreshFacts();
    void refreshActions();
    void follow(const QString& target);

    AppModel& m_app;
    SpanLabel* m_title = nullptr;
    SpanLabel* m_subtitle = nullptr;
    QWidget* m_head = nullptr;
    QTabBar* m_tabs = nullptr;
    QStackedWidget* m_stack = nullptr;
    QHBoxLayout* m_tileRow = nullptr;
    QList<Tile*> m_tiles;
    QWidget* m_tilePanel = nullptr;
    QWidget* m_progressPanel = nullptr;
    SpanLabel* m_progressText = nullptr;
    SpanLabel* m_timeLeft = nullptr;
    QWidget* m_bar = nullptr;
    FactList* m_facts = nullptr;
    QWidget* m_notePanel = nullptr;
    SpanLabel* m_noteTitle = nullptr;
    QLabel* m_note = nullptr;
    QToolButton* m_noteLink = nullptr;
    FactList* m_serving = nullptr;
    FactList* m_sources = nullptr;
    CodeBlock* m_config = nullptr;
    CodeBlock* m_json = nullptr;
    QWidget* m_actionPanel = nullptr;
    SpanLabel* m_actionTitle = nullptr;
    QGridLayout* m_actionGrid = nullptr;
    QLabel* m_reason = nullptr;
    QHash<QString, QPushButton*> m_buttons;
};

} // namespace desk
