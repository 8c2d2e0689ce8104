from tui.piloting import drive


def cursor_to(wheel, fact):
    screen = wheel.app.shown
    number = next(n for n, row in enumerate(screen._rows) if row is not None and row.fact == fact)
    screen.query_one("#facts").move_cursor(row=number)


def test_facts_come_with_their_source_beside_documents_and_freshness(session):
    async def script(wheel):
        await wheel.judged_at("profile")
        await wheel.until(lambda: wheel.app.shown.query_one("#corpus").root.children)
        return wheel.picture()

    text = drive(session, script, size=(160, 50))
    assert "✎ declared" in text
    assert "✓ measured" in text
    assert "? assumed" in text
    assert "Product1.md" in text
    assert "Still as it is now" in text


def test_facts_are_shown_as_they_come(session):
    async def script(wheel):
        from kistack.domain.facts import measured
        from kistack.tui.messages import FactsCame

        await wheel.judged_at("profile")
        wheel.session.facts = {}
        wheel.app.post_message(FactsCame(wheel.session.place, {"corpus.documents": measured(7, "counted")}))
        await wheel.pilot.pause()
        return [r.fact for r in wheel.app.shown._rows if r is not None]

    assert drive(session, script) == ["corpus.documents"]


def test_a_fact_of_the_user_is_changed_and_written_only_when_saved(session, toy_project):
    path = toy_project / "kistack.yaml"
    before = path.read_text()

    async def script(wheel):
        await wheel.judged_at("profile")
        cursor_to(wheel, "scenario.limit_memory")
        await wheel.press("enter")
        field = wheel.app.screen.query_one("#field-value")
        assert field.value == "4GB"
        field.value = "plenty"
        await wheel.press("enter")
        assert "is not a size" in str(wheel.app.screen.query_one(".problem").render())
        field.value = "3GB"
        await wheel.press("enter")
        assert wheel.session.profile.number("scenario.limit_memory") == 3e9
        assert path.read_text() == before
        assert "not saved: limits.memory" in wheel.text("#tally")
        await wheel.press("s")
        assert "saved" in wheel.status

    drive(session, script)
    assert path.read_text() == before.replace("4GB", "3GB")


def test_what_was_measured_is_not_the_users_to_say(session):
    async def script(wheel):
        await wheel.judged_at("profile")
        cursor_to(wheel, "corpus.documents")
        await wheel.press("enter")
        assert len(wheel.app.screen_stack) == 2
        return wheel.status

    assert "not yours to say" in drive(session, script)


def test_another_target_is_chosen_and_profiled(session):
    async def script(wheel):
        await wheel.judged_at("profile")
        await wheel.press("t")
        modal = wheel.app.screen
        keys = [key for key, _ in modal._choices]
        modal.query_one("OptionList").highlighted = keys.index("raspberry-pi-5")
        await wheel.press("enter")
        await wheel.until(lambda: wheel.session.changes)
        await wheel.judged()
        assert wheel.session.changes == {"serve_on": "raspberry-pi-5"}
        assert wheel.session.profile["serving.bandwidth"].source == "assumed"
        await wheel.press("t")
        wheel.app.screen.query_one("Input").focus()
        await wheel.write("no-such-machine")
        await wheel.press("enter")
        return str(wheel.app.screen.query_one(".problem").render())

    assert "neither a file nor a known machine" in drive(session, script)


def test_measuring_again_starts_from_nothing(session, toy_project):
    async def script(wheel):
        await wheel.judged_at("profile")
        (toy_project / "documents" / "new.md").write_text("one more")
        await wheel.press("r")
        await wheel.until(lambda: wheel.session.bench is not None)
        return wheel.session.profile.number("corpus.documents")

    assert drive(session, script) == 13


def test_a_narrow_screen_goes_from_facts_to_documents_to_freshness(session):
    async def script(wheel):
        await wheel.judged_at("profile")
        shown = []
        for _ in range(4):
            shown.append([n for n in ("facts", "corpus", "fresh") if wheel.app.shown.query_one(f"#{n}").region.area])
            await wheel.press("v")
        return shown

    assert drive(session, script, size=(80, 24)) == [["facts"], ["corpus"], ["fresh"], ["facts"]]
