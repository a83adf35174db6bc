"""Events that wait for the commit of a SQLAlchemy session."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, scoped_session, sessionmaker

from soundpost import Broadcaster
from soundpost.broadcasting.drivers.offline import MemoryDriver
from soundpost.contrib.sqlalchemy import SessionTransactions, after_commit


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    status: Mapped[str] = mapped_column(default="new")


@pytest.fixture
def broadcaster() -> Broadcaster:
    made = Broadcaster()
    made.configure(driver="memory")
    return made


@pytest.fixture
def factory(tmp_path: Path) -> Iterator[Any]:
    engine = create_engine(f"sqlite:///{tmp_path / 'orders.db'}")
    Base.metadata.create_all(engine)
    yield sessionmaker(engine)
    engine.dispose()


def sent(broadcaster: Broadcaster) -> list[str]:
    driver = broadcaster.drivers.of("")
    assert isinstance(driver, MemoryDriver)
    return [message.name for message in driver.sent]


def publish(broadcaster: Broadcaster, name: str, session: Any) -> None:
    broadcaster.publish("orders", name, session=session)


def test_sent_in_order_once_the_session_has_committed(broadcaster: Broadcaster, factory: Any) -> None:
    with factory() as session:
        session.add(Order())
        publish(broadcaster, "first", session)
        publish(broadcaster, "second", session)
        assert sent(broadcaster) == []
        session.commit()
        assert sent(broadcaster) == ["first", "second"]
        session.add(Order())
        session.commit()
    assert sent(broadcaster) == ["first", "second"]


def test_the_connection_has_been_given_back_when_it_is_sent(factory: Any) -> None:
    seen = []
    with factory() as session:
        session.add(Order())
        session.flush()
        after_commit(session, lambda: seen.append((session.in_transaction(), session.get_bind().pool.checkedout())))
        session.commit()
    assert seen == [(False, 0)]


def test_dropped_by_a_rollback_and_by_closing(broadcaster: Broadcaster, factory: Any) -> None:
    with factory() as session:
        session.add(Order())
        session.flush()
        publish(broadcaster, "rolled back", session)
        session.rollback()
        session.add(Order())
        session.flush()
        publish(broadcaster, "closed", session)
        session.close()
        session.add(Order())
        session.commit()
    assert sent(broadcaster) == []


def test_dropped_by_a_commit_that_fails(broadcaster: Broadcaster, factory: Any) -> None:
    with factory() as session:
        session.add(Order(id=1))
        session.commit()
    with factory() as session:
        session.add(Order(id=1))
        publish(broadcaster, "twice", session)
        with pytest.raises(Exception, match="UNIQUE"):
            session.commit()
        session.rollback()
        session.add(Order(id=2))
        session.commit()
    assert sent(broadcaster) == []


def test_a_savepoint_that_is_rolled_back_drops_its_own(broadcaster: Broadcaster, factory: Any) -> None:
    with factory() as session, session.begin():
        publish(broadcaster, "before", session)
        with session.begin_nested() as savepoint:
            publish(broadcaster, "inside", session)
            with session.begin_nested():
                publish(broadcaster, "deeper, released", session)
            savepoint.rollback()
        with session.begin_nested():
            publish(broadcaster, "released", session)
            with session.begin_nested() as deeper:
                publish(broadcaster, "deeper", session)
                deeper.rollback()
        publish(broadcaster, "after", session)
        assert sent(broadcaster) == []
    assert sent(broadcaster) == ["before", "released", "after"]


def test_a_released_savepoint_goes_with_the_transaction(broadcaster: Broadcaster, factory: Any) -> None:
    with factory() as session:
        with session.begin_nested():
            publish(broadcaster, "released", session)
        session.rollback()
    assert sent(broadcaster) == []


def test_what_comes_before_any_transaction_waits_for_the_next(broadcaster: Broadcaster, factory: Any) -> None:
    with factory() as session:
        publish(broadcaster, "early", session)
        assert not session.in_transaction()
        with session.begin():
            session.add(Order())
            assert sent(broadcaster) == []
    assert sent(broadcaster) == ["early"]


def test_a_failure_is_logged_and_the_others_are_sent(factory: Any, caplog: pytest.LogCaptureFixture) -> None:
    seen = []
    with factory() as session, session.begin():
        after_commit(session, lambda: 1 / 0)  # type: ignore[arg-type]
        after_commit(session, lambda: seen.append("second"))
    assert seen == ["second"]
    assert "not sent, after a transaction was committed" in caplog.text


def test_events_of_a_scoped_session_wait_for_its_commit(broadcaster: Broadcaster, factory: Any) -> None:
    scoped = scoped_session(factory)
    scoped.add(Order())
    publish(broadcaster, "scoped", scoped)
    assert sent(broadcaster) == []
    scoped.commit()
    assert sent(broadcaster) == ["scoped"]
    scoped.remove()


async def test_async_sessions_send_without_blocking_the_loop(tmp_path: Path) -> None:
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'orders.db'}")
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    ticks: list[str] = []
    loop = asyncio.get_running_loop()

    def send() -> None:
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result(10)  # the loop goes on meanwhile
        ticks.append("sent")

    scoped: Any = async_scoped_session(async_sessionmaker(engine), scopefunc=asyncio.current_task)
    for session in (AsyncSession(engine), scoped):
        session.add(Order())
        after_commit(session, send)
        assert ticks == []
        await session.commit()
        assert ticks == ["sent"]
        after_commit(session, send)
        await session.execute(select(Order))
        await session.rollback()
        await session.commit()
        assert ticks == ["sent"]
        await session.close()
        ticks.clear()
    await engine.dispose()


async def test_a_blocking_session_in_an_event_loop_has_it_sent_by_a_thread(factory: Any) -> None:
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    with factory() as session, session.begin():
        after_commit(session, lambda: loop.call_soon_threadsafe(done.set))  # type: ignore[arg-type]
    await asyncio.wait_for(done.wait(), 10)


class TestSessionTransactions:
    """``broadcast.transactions`` for a scoped session: nobody passes ``session=``."""

    @pytest.fixture
    def session(self, broadcaster: Broadcaster, factory: Any) -> Iterator[Any]:
        scoped = scoped_session(factory)
        broadcaster.transactions = SessionTransactions(scoped)
        yield scoped
        scoped.remove()

    def test_without_a_session_it_is_sent_at_once(self, broadcaster: Broadcaster, session: Any) -> None:
        broadcaster.publish("orders", "now")
        assert sent(broadcaster) == ["now"]
        assert not session.registry.has()

    def test_waits_for_what_was_written(self, broadcaster: Broadcaster, session: Any) -> None:
        session.add(Order())
        broadcaster.publish("orders", "added")
        session.flush()
        broadcaster.publish("orders", "flushed")
        assert sent(broadcaster) == []
        session.commit()
        assert sent(broadcaster) == ["added", "flushed"]

    @pytest.mark.parametrize(
        "statement", [insert(Order).values(status="x"), text("insert into orders (status) values ('y')")]
    )
    def test_waits_for_statements_that_write(self, broadcaster: Broadcaster, session: Any, statement: Any) -> None:
        session.execute(statement)
        broadcaster.publish("orders", "written")
        assert sent(broadcaster) == []
        session.commit()
        assert sent(broadcaster) == ["written"]

    def test_reading_is_nothing_to_wait_for(self, broadcaster: Broadcaster, session: Any) -> None:
        order = Order()
        session.add(order)
        session.commit()
        assert order.status == "new"  # read again, which has begun a transaction that nobody will commit
        broadcaster.publish("orders", "after the commit")
        assert session().in_transaction()
        assert sent(broadcaster) == ["after the commit"]

    def test_a_rollback_drops_it(self, broadcaster: Broadcaster, session: Any) -> None:
        session.add(Order())
        broadcaster.publish("orders", "dropped")
        session.rollback()
        broadcaster.publish("orders", "later")
        assert sent(broadcaster) == ["later"]

    def test_it_can_be_asked_not_to_wait(self, broadcaster: Broadcaster, session: Any) -> None:
        session.add(Order())
        broadcaster.publish("orders", "now", after_commit=False)
        assert sent(broadcaster) == ["now"]
        session.rollback()

    def test_the_fake_knows_what_waits(self, broadcaster: Broadcaster, session: Any) -> None:
        with broadcaster.fake() as fake:
            session.add(Order())
            broadcaster.publish("orders", "waits")
            session.rollback()
            broadcaster.publish("orders", "does not")
        assert [each.pending for each in fake.sent] == [True, False]


def test_a_server_that_is_away_is_logged_and_not_raised(factory: Any, caplog: pytest.LogCaptureFixture) -> None:
    away = Broadcaster()
    away.configure(app_id="1", key="k", secret="s3cret", port=1, timeout=0.3)
    with caplog.at_level(logging.ERROR), factory() as session, session.begin():
        away.publish("orders", "lost", session=session)
    assert "lost on orders" in caplog.text
    assert "s3cret" not in caplog.text
    with Session() as unbound:
        assert not unbound.info


async def test_asynchronous_calls_take_a_session_too(broadcaster: Broadcaster, tmp_path: Path) -> None:
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'orders.db'}")
    async with AsyncSession(engine) as session:
        await session.execute(text("select 1"))
        await broadcaster.apublish("orders", "kept", session=session)
        await broadcaster.ato_user(7, "kept too", session=session)
        assert sent(broadcaster) == []
        await session.commit()
        assert sent(broadcaster) == ["kept", "kept too"]
        await session.execute(text("select 1"))
        await broadcaster.apublish("orders", "dropped", session=session)
        await session.rollback()
        assert sent(broadcaster) == ["kept", "kept too"]
    with broadcaster.fake() as fake:
        await broadcaster.apublish("orders", "recorded", session=AsyncSession(engine))
        assert fake.sent[0].pending
    await engine.dispose()
