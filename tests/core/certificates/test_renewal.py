"""A certificate renewed on its host: every way in which it goes wrong leaves the former one serving."""

import pytest

from tdev_operators.core.certificates.settings import ManagedCertificate
from tdev_operators.core.ports import CommandOutput
from tdev_operators.core.verdicts import Verdict
from tests.core.certificates.conftest import DAY, NAME, Killed


def test_one_that_is_due_is_renewed_reloaded_and_served(world):
    before = world.served()
    result = world.one()
    assert result.verdict is Verdict.OK, result.summary
    assert world.served() == world.serial() == world.serial(world.next) != before
    assert result.summary.startswith(f"Renewed: serial …{f'{before:x}'[-8:]} before, …{f'{world.served():x}'[-8:]} is")
    assert [event for event, _ in world.journal] == ["certificate_renewal", "certificate_renewed"]
    assert world.copies == []


def test_the_private_key_never_leaves_its_host(world):
    seen = []
    run = world.host.run
    world.host.run = lambda argv, **options: seen.append(run(argv, **options)) or seen[-1]
    world.one()
    assert any("PUBLIC KEY" in ended.stdout for ended in seen)
    assert not any("PRIVATE" in ended.stdout + ended.stderr for ended in seen)


def test_one_that_is_not_due_is_left_alone_unless_it_is_forced(world):
    world.put(world.pem(left=100, lived=265))
    world.server.load()
    before = world.served()
    assert world.one().verdict is Verdict.OK
    assert world.served() == before
    assert world.journal == []
    assert world.one(only=NAME, forced=True).verdict is Verdict.OK
    assert world.served() == world.serial(world.next)


def test_a_dry_run_says_what_it_would_do(world):
    result = world.one(dry_run=True)
    assert result.details[0].startswith("On edge would be run: sh -c cp")
    assert world.journal == []
    assert world.serial() != world.serial(world.next)


def _nothing(world):
    world.change(renew=("true",))
    return "ended with status 0 and renewed nothing"


def _fails(world):
    world.change(renew=("sh", "-c", "echo the CA is down >&2; exit 1"))
    return "ended with status 1 and renewed nothing (the CA is down)"


def _absent(world):
    world.change(renew=("/no/such/certbot",))
    return "/no/such/certbot"


def _other_name(world):
    world.offer(world.pem(left=364, name="ws.t-developer.com"))
    return f"it is not for {NAME}"


def _expired(world):
    world.offer(world.pem(left=-1, lived=90))
    return "it is valid from"


def _not_yet(world):
    world.offer(world.pem(left=364, lived=-2))
    return "it is valid from"


def _no_longer(world):
    world.offer(world.pem(left=10))
    return "no later than the former one"


def _other_key(world):
    key = (world.folder / "privkey.pem").read_text()
    (world.next / "privkey.pem").write_text(key)
    return "is not its key"


def _half_a_file(world):
    file = world.next / "fullchain.pem"
    file.write_text(file.read_text()[:400])
    return "holds no certificate"


def _no_file(world):
    (world.next / "fullchain.pem").unlink()
    world.change(renew=("sh", "-c", f"rm {world.server.file}"))
    return "cannot be read"


def _broken_chain(world):
    from sandbox.certificates import Authority

    other = Authority().issue("x", since=world.now - DAY, until=world.now + DAY).decode()
    chain = (world.next / "fullchain.pem").read_text()
    mark = "-----BEGIN CERTIFICATE-----"
    (world.next / "fullchain.pem").write_text(mark + chain.split(mark)[1] + mark + other.split(mark)[2])
    return "its chain is broken"


@pytest.mark.parametrize(
    "sabotage",
    [
        *(_nothing, _fails, _absent, _other_name, _expired, _not_yet),
        *(_no_longer, _other_key, _half_a_file, _no_file, _broken_chain),
    ],
)
def test_what_cannot_be_used_is_never_served_and_the_former_files_are_back(world, sabotage):
    before, sentence = world.served(), sabotage(world)
    result = world.one()
    assert result.verdict is Verdict.CRITICAL
    assert sentence in result.summary, result.summary
    assert world.served() == world.serial() == before
    assert "tdev_renew_certificate" in result.hint
    assert not world.server.trigger.exists() or sabotage is _absent, "nothing was reloaded"


def test_renewed_on_disk_and_the_old_one_served_is_critical_and_says_what_to_do(world):
    world.change(reload=("true",))
    before = world.served()
    result = world.one()
    assert result.verdict is Verdict.CRITICAL
    assert f"still serves serial …{f'{before:x}'[-8:]}" in result.summary
    assert "reload what serves it" in result.summary
    world.change(reload=("touch", str(world.server.trigger)))
    result = world.one()
    assert result.verdict is Verdict.OK, "the next day only the reload is done"
    assert world.served() == world.serial(world.next)
    assert len([1 for argv in world.host.said if argv[0] == "sh"]) == 1


def test_one_address_of_two_that_goes_on_with_the_old_one_is_named(world, second):
    second()
    result = world.one()
    assert result.verdict is Verdict.CRITICAL
    assert "127.0.0.2 still serves serial" in result.summary


def test_an_authority_that_nobody_trusts_goes_back_and_the_former_one_is_served_again(world):
    from sandbox.certificates import Authority

    before = world.served()
    strange = Authority().issue(NAME, since=world.now - DAY, until=world.now + 364 * DAY)
    world.offer(strange)
    result = world.one()
    assert result.verdict is Verdict.CRITICAL
    assert "the former certificate is served" in result.summary
    assert world.served() == world.serial() == before
    assert [event for event, _ in world.journal] == ["certificate_renewal", "certificate_way_back"]


def test_a_copy_that_was_cut_off_is_no_copy(world):
    (world.folder / "fullchain.pem.tdev-before.part").write_text("-----BEGIN")
    assert world.one().verdict is Verdict.OK
    assert world.served() == world.serial(world.next)


def test_what_a_client_that_died_left_half_is_taken_back_and_the_next_day_renews(world):
    before = world.serial()
    for name in ("fullchain.pem", "privkey.pem"):
        (world.folder / f"{name}.tdev-before").write_bytes((world.folder / name).read_bytes())
    (world.folder / "fullchain.pem").write_text("-----BEGIN CERTIFICATE-----\nMIIB")
    result = world.one()
    assert result.verdict is Verdict.CRITICAL
    assert "The former files are back" in result.summary
    assert world.serial() == world.served() == before
    assert world.one().verdict is Verdict.OK
    assert world.served() == world.serial(world.next) != before


def test_a_new_key_without_a_new_certificate_is_taken_back(world):
    key = (world.folder / "privkey.pem").read_text()
    world.change(renew=("sh", "-c", f"cp {world.next}/privkey.pem {world.folder}; exit 1"))
    result = world.one()
    assert result.verdict is Verdict.CRITICAL
    assert "renewed nothing, but for the key. The former files are back" in result.summary
    assert (world.folder / "privkey.pem").read_text() == key
    assert world.copies == []


def test_a_copy_that_could_not_be_removed_costs_nobody_his_key(world):
    run = world.host.run

    def stubborn(argv, **options):
        if argv[0] == "rm" and argv[-1].endswith("privkey.pem.tdev-before"):
            return CommandOutput(1, "", "rm: busy")
        return run(argv, **options)

    world.host.run = stubborn
    assert world.one().verdict is Verdict.OK
    world.host.run = run
    assert len(world.copies) == 2
    assert world.one().verdict is Verdict.OK
    assert world.copies == []
    assert (world.folder / "privkey.pem").read_text() == (world.next / "privkey.pem").read_text()
    (world.folder / "privkey.pem.tdev-before").write_text("an old key, alone")
    world.one()
    assert (world.folder / "privkey.pem").read_text() == (world.next / "privkey.pem").read_text()


def test_a_way_back_that_was_cut_off_gets_its_key(world):
    (world.folder / "privkey.pem").rename(world.folder / "privkey.pem.tdev-before")
    (world.folder / "privkey.pem").write_bytes((world.next / "privkey.pem").read_bytes())
    world.change(renew=("true",))
    before = world.served()
    assert world.one().verdict is Verdict.CRITICAL, "the client renews nothing"
    world.server.load()
    assert world.served() == world.serial() == before, "the key fits again"


def test_what_was_written_through_a_link_is_never_said_to_be_back(world):
    real = world.folder / "real.pem"
    world.server.file.rename(real)
    world.server.file.symlink_to(real)
    world.offer(world.pem(left=364, name="ws.t-developer.com"))
    world.change(renew=("sh", "-c", f"cat {world.next}/fullchain.pem > {world.server.file}"))
    result = world.one()
    assert result.verdict is Verdict.CRITICAL
    assert "could not be put back whole" in result.summary


def test_an_address_without_a_route_from_here_or_dead_before_is_no_reason_to_go_back(world):
    world.addresses += ["2001:db8::1", "127.0.0.9"]
    world.no_route.add("2001:db8::1")
    result = world.one()
    assert result.summary.startswith("Renewed: "), result.summary
    assert result.verdict is Verdict.CRITICAL, "127.0.0.9 is dead, and that is told"
    assert world.served() == world.serial(world.next)
    world.addresses.remove("127.0.0.9")
    assert world.one().verdict is Verdict.OK


def test_one_that_still_serves_what_has_expired_takes_no_good_one_back(world, second):
    world.put(world.pem(left=-1, lived=364))
    world.server.load()
    second()
    result = world.one()
    assert result.verdict is Verdict.CRITICAL
    assert "127.0.0.2 still serves serial" in result.summary
    assert world.serial() == world.serial(world.next)


def test_a_run_without_time_left_begins_no_renewal_and_says_so(world):
    rules = world.settings.certificates.model_copy(update={"minutes": 1e-9})
    [result] = world.manage(settings=world.settings.model_copy(update={"certificates": rules}))
    assert result.verdict is Verdict.CRITICAL
    assert "others took the time of this run" in result.summary
    assert world.journal == []


def _steps(tmp_path_factory):
    from tests.core.certificates.conftest import World

    world = World(tmp_path_factory.mktemp("counted"))
    world.one()
    world.server.stop()
    return len(world.host.said)


@pytest.mark.seeded(4)
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", range(1, 16))
def test_killed_around_any_command_the_next_run_ends_it(world, step, moment):
    before = world.served()
    world.host.dies = (step, moment)
    with pytest.raises(Killed):
        world.one()
    world.host.dies = None
    assert world.served() in {before, world.serial(world.next)}
    result = world.one()
    assert result.verdict is Verdict.OK, result.summary
    assert world.served() == world.serial() == world.serial(world.next)
    assert world.copies == []
    assert len([1 for argv in world.host.said if argv[0] == "sh"]) <= 2


@pytest.mark.seeded(3)
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", range(10, 14))
def test_killed_on_the_way_back_the_next_run_serves_the_former_one(world, step, moment):
    before = world.served()
    world.offer(world.pem(left=364, name="ws.t-developer.com"))
    world.host.dies = (step, moment)
    with pytest.raises(Killed):
        world.one()
    world.host.dies = None
    assert world.served() == before
    result = world.one()
    assert result.verdict is Verdict.CRITICAL
    assert world.served() == world.serial() == before
    assert world.copies == []


def test_the_number_of_steps_is_what_the_matrix_kills(tmp_path_factory):
    assert _steps(tmp_path_factory) == 15


@pytest.mark.parametrize(
    ("argv", "flag"),
    [
        (("certbot", "renew", "--force-renewal"), "--no-random-sleep-on-renew"),
        (("env", "X=y", "/usr/bin/lego", "--domains", "x", "renew"), "--no-random-sleep"),
    ],
)
def test_a_client_that_would_sleep_for_minutes_is_refused(argv, flag):
    whole = {"name": NAME, "renewal": "command", "host": "edge", "file": "/x", "reload": ("true",)}
    with pytest.raises(ValueError, match=flag):
        ManagedCertificate(**whole, renew=argv)
    assert ManagedCertificate(**whole, renew=(*argv, flag)).renew[-1] == flag
