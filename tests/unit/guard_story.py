"""Plays the guard's decisions and prints what came of them: one script for CPython and MicroPython."""

import sys

from guard import bootstate, decisions, partitions, requests, rescue


def play(name: str, trial: bool, reached_before: bool, looks: list, trial_s: int = 900, start_s: int = 240) -> None:  # type: ignore[type-arg]
    """One story: looks are (until, beat, connected, page, starts); a beat that is a number changes with the time."""
    memory = decisions.begin(trial, reached_before, trial_s, start_s)
    said = []
    now_s = 0
    for until_s, beats, connected, page, starts in looks:
        while now_s < until_s:
            beat = str(now_s // 5) if beats else memory["beat"]
            seen = {"beat": beat, "connected": connected, "page": page, "starts": starts(now_s)}
            memory, actions = decisions.observe(memory, now_s, seen)
            said += [f"{now_s}:{action}" for action in actions if action != "feed"]
            if "feed" not in actions:
                print(name, " ".join(said))
                return
            now_s += 1
    print(name, " ".join(said))


def once(_now_s: int) -> int:
    return 1


def late(now_s: int) -> int:
    return 1 if now_s > 170 else 0


def every_ten(now_s: int) -> int:
    return 1 + now_s // 10


def stories() -> None:
    play("ordinary", False, True, [(20, False, False, False, once), (200, True, True, True, once)])
    play("not-enrolled", False, False, [(20, False, False, False, once), (2000, True, False, True, once)])
    play("trial-good", True, True, [(20, False, False, False, once), (200, True, True, True, once)])
    play("trial-no-page", True, True, [(20, False, False, False, once), (2000, True, True, False, once)])
    play("trial-not-reached", True, True, [(20, False, False, False, once), (2000, True, False, True, once)])
    play("trial-never-reached-before", True, False, [(20, False, False, False, once), (2000, True, False, True, once)])
    play("trial-crashes", True, True, [(2000, False, False, False, every_ten)])
    play("crashes", False, True, [(400, False, False, False, every_ten), (2000, True, True, True, lambda _: 40)])
    play("silent", False, True, [(2000, False, False, False, once)])
    play("slow-start", False, True, [(300, False, False, False, late), (400, True, True, True, late)])
    play("late", False, True, [(300, False, False, False, once), (400, True, True, True, once)])
    play("patient", False, True, [(300, False, False, False, once), (400, True, True, True, once)], 900, 600)
    play("hung", False, True, [(100, True, True, True, once), (2000, False, True, True, once)])
    play("short-trial", True, True, [(2000, True, False, True, once)], 120)


def states() -> None:
    copies = list(bootstate.of_new_card())
    for step in range(9):
        values, index = bootstate.current((copies[0], copies[1]))
        change = (bootstate.with_primary, bootstate.with_bad, bootstate.with_good, bootstate.with_settled)[step % 4]
        copies[index] = bootstate.encode(bootstate.advanced(change(values, "AB"[step % 2])))
        print("state", sorted(bootstate.current((copies[0], copies[1]))[0].items()))
    for damaged in (0, 1):
        whole = list(copies)
        whole[damaged] = whole[damaged][:100] + b"?" + whole[damaged][101:]
        values, index = bootstate.current((whole[0], whole[1]))
        print("damaged", damaged, index, values["gl_seq"])
    print("lost", sorted(bootstate.current((b"", b"\0" * 4096))[0].items()))


def others() -> None:
    for pair in (
        ("1.2.3", "1.2.3"),
        ("1.2", "1.10"),
        ("0.9-rc1", "1"),
        ("2.0", "1.99.99"),
        ("1.0.0", "1"),
        ("x", "0.1"),
    ):
        print("older", pair, decisions.is_older(pair[0], pair[1]))
    for text in ("restart", "install 00ff\n", "install 00ff allow-older", "install x;y", ""):
        print("request", requests.understood(text))
    sector = b"\0" * 446 + bytes(range(64)) + b"\x55\xaa"
    print("table", partitions.with_size(sector, 4, 123456)[446:510])
    for head in (
        b"GET / HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n",
        b"POST /restart HTTP/1.1\r\nHost: 10.0.0.1\r\nOrigin: http://10.0.0.1\r\n\r\n",
        b"POST /factory HTTP/1.1\r\nHost: 10.0.0.1\r\nOrigin: http://evil.example\r\n\r\n",
        b"POST /nothing HTTP/1.1\r\n\r\n",
        b"GET /../etc/passwd HTTP/1.1\r\n\r\n",
        b"\xff\xfe\r\n\r\n",
        b"",
    ):
        response, action = rescue.answer(head, {"slot": "A<"}, "log & more")
        print("rescue", response.split(b"\r\n")[0], len(response), action)


sys.path.insert(0, "")
stories()
states()
others()
