"""What `plan` has listed of a dataset in a store is all that a shard needs of it, beside its own objects."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from monai_mriprep.errors import OutputError, RecordError, RemoteError
from monai_mriprep.recipe import Recipe
from monai_mriprep.remote import at_hand as module
from monai_mriprep.remote import run
from monai_mriprep.remote.at_hand import at_hand, output_at_hand
from monai_mriprep.run.merge import merge
from monai_mriprep.run.plan import plan_run
from monai_mriprep.run.planning import PlanSummary, plan_cases
from tests.remote.test_dataset import put_folder, write_mixed
from tests.runs import done_records, write_case, write_cases

pytestmark = pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning")

OUT = "memory://bucket/out"


def plan_at(dataset: Path | str, output: Path | str, *, retire: bool = False, **options) -> PlanSummary:
    """What the command does."""
    with at_hand(Path(dataset), Path(output), apart=True) as here:
        plan, _ = here.plan(**options)
        return here.plan_cases(plan, retire)


def merged(output: str) -> list[str]:
    """The cases that are done after a merge, in the store."""
    with output_at_hand(Path(output)) as here:
        found = merge(here.output, elsewhere=here.elsewhere)
        here.finish_merge(found)
        assert found.is_complete
        return sorted(done_records(here.output))


@pytest.fixture
def made(monkeypatch):
    """The objects that are asked for anything, by the last part of their address."""
    found: dict[str, list] = {}

    def objects(address):
        found.setdefault(address.rpartition("/")[2], []).append(real(address))
        return found[address.rpartition("/")[2]][-1]

    real = module.Objects
    monkeypatch.setattr(module, "Objects", objects)
    return found


@pytest.fixture
def three(store, tmp_path) -> str:
    """The address of three cases, whose files are in the folder ``scans``."""
    put_folder(store, write_cases(tmp_path / "scans", 3))
    return store.address


def out_of(store):
    """The objects of the output."""
    return type(store)(OUT)


def volumes(place) -> dict[str, bytes]:
    """The volumes in a folder, or of an output in the store."""
    if isinstance(place, Path):
        return {str(path.relative_to(place)): path.read_bytes() for path in place.glob("*Tr/*.npz")}
    return {name: place.read(name) for name in place.list() if name.endswith(".npz")}


def test_shards_of_a_plan_ask_for_their_own_objects_alone_and_make_what_a_run_makes(three, store, tmp_path, made):
    found = plan_at(three, OUT)
    assert (found.output_root, found.cases, found.finished) == (OUT, 3, 0)
    assert made["scans"][0].requests == {"list": 1, "read": 6}
    run.preprocess(tmp_path / "scans", tmp_path / "local", workers=0, report=False)
    done = []
    for shard in ("1/2", "2/2"):
        summary = run.preprocess(three, OUT, workers=0, report=False, shard=shard)
        done += [result.case for result in summary.done]
        assert made["scans"][-1].requests == {"read": 2 * len(summary.done), "look": 2 * len(summary.done)}
    assert sorted(done) == merged(OUT) == ["case_0", "case_1", "case_2"]
    assert volumes(out_of(store)) == volumes(tmp_path / "local")
    assert run.preprocess(three, OUT, workers=0, report=False, shard="1/2").done == ()
    assert made["scans"][-1].requests == {}


def test_sources_are_recorded_as_without_a_plan(store, tmp_path):
    put_folder(store, write_mixed(tmp_path / "scans"))
    run.preprocess(store.address, tmp_path / "direct", workers=0, report=False)
    plan_at(store.address, tmp_path / "out")
    assert len(run.preprocess(store.address, tmp_path / "out", workers=0, report=False, shard="1/1").done) == 2
    assert volumes(tmp_path / "out") == volumes(tmp_path / "direct")
    merge(tmp_path / "out")
    planned, direct = done_records(tmp_path / "out"), done_records(tmp_path / "direct")
    for case in ("series", "detached"):
        assert repr(planned[case].sources) == repr(direct[case].sources)
    assert run.preprocess(store.address, tmp_path / "out", workers=0, report=False).done == ()


def slices_of(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*.dcm")]


def test_the_list_tells_of_the_objects_of_each_case(store, tmp_path):
    put_folder(store, write_mixed(tmp_path / "scans"))
    plan_at(store.address, OUT)
    head, *lines = map(json.loads, out_of(store).read("cases.jsonl").splitlines())
    assert head["dataset_root"] == store.address
    objects = {line["name"]: line["objects"] for line in lines}
    assert [sorted(of) for of in (objects["series"], objects["detached"])] == [
        ["ImagesTr/series", *sorted(f"ImagesTr/series/{name}" for name in slices_of(tmp_path)), "LabelsTr/series.mha"],
        ["ImagesTr/detached.mhd", "ImagesTr/detached.raw", "LabelsTr/detached.mha"],
    ]
    raw = store.look("ImagesTr/detached.raw")
    assert objects["detached"]["ImagesTr/detached.raw"] == raw._asdict()
    slices = {name: stored for name, stored in store.list().items() if name.endswith(".dcm")}
    assert {name: objects["series"][name] for name in slices} == {name: of._asdict() for name, of in slices.items()}
    assert objects["series"]["ImagesTr/series"]["size"] == sum(one.size for one in slices.values())


def test_an_object_that_was_replaced_or_removed_since_fails_its_case_by_name(three, store, tmp_path):
    plan_at(three, OUT)
    store.put("ImagesTr/case_1.mha", (tmp_path / "scans" / "ImagesTr" / "case_0.mha").read_bytes())
    store.remove("LabelsTr/case_2.mha")
    summary = run.preprocess(three, OUT, workers=0, report=False, shard="1/1")
    errors = {result.case: result.error for result in summary.failed}
    assert errors["case_1"].startswith(f"{three}/ImagesTr/case_1.mha: was replaced since it was listed")
    assert errors["case_1"].endswith("plan it again")
    assert errors["case_2"].startswith(f"{three}/LabelsTr/case_2.mha: cannot read it (FileNotFoundError")
    assert [result.case for result in summary.done] == ["case_0"]


def test_what_joins_the_dataset_is_not_in_the_list_until_it_is_planned_again(three, store, tmp_path):
    first = plan_at(three, OUT)
    assert plan_at(three, OUT).sha256 == first.sha256
    write_case(tmp_path / "more", "new")
    put_folder(store, tmp_path / "more")
    assert len(run.preprocess(three, OUT, workers=0, report=False, shard="1/1").done) == 3
    with pytest.raises(OutputError, match=rf"{OUT}: holds 1 file of records of .*`merge {OUT}`, then plan again"):
        plan_at(three, OUT)
    merged(OUT)
    again = plan_at(three, OUT)
    assert (again.cases, again.finished, again.sha256 != first.sha256) == (4, 3, True)
    assert [result.case for result in run.preprocess(three, OUT, workers=0, report=False, shard="1/1").done] == ["new"]


def test_what_was_merged_is_not_merged_again_by_the_next_plan(three, store, tmp_path):
    """Or shards of before, which had another list of cases, would be said to be of another one for ever."""
    plan_at(three, OUT)
    for shard in ("1/2", "2/2"):
        run.preprocess(three, OUT, workers=0, report=False, shard=shard)
    merged(OUT)
    write_case(tmp_path / "more", "new")
    put_folder(store, tmp_path / "more")
    plan_at(three, OUT)
    run.preprocess(three, OUT, workers=0, report=False, shard="1/1")
    with pytest.raises(OutputError, match=r"holds 1 file of records of shards that are not merged"):
        plan_at(three, OUT)
    assert merged(OUT) == ["case_0", "case_1", "case_2", "new"]
    plan_at(three, OUT)


@pytest.mark.parametrize("is_planned", [True, False])
def test_the_statistics_that_gave_the_target_are_there_with_the_target(three, store, tmp_path, is_planned):
    """Whoever begins writes them: nobody after that computes them."""
    run.preprocess(tmp_path / "scans", tmp_path / "local", workers=0, report=False)
    if is_planned:
        plan_at(three, OUT)
    run.preprocess(three, OUT, workers=0, report=False, shard="1/1")
    merged(OUT)
    assert out_of(store).read("mri_statistics.csv") == (tmp_path / "local" / "mri_statistics.csv").read_bytes()


def test_a_run_of_the_whole_looks_itself_and_drops_the_list(three, store):
    plan_at(three, OUT)
    assert out_of(store).look("cases.jsonl") is not None
    assert len(run.preprocess(three, OUT, workers=0, report=False).done) == 3
    assert out_of(store).look("cases.jsonl") is None
    assert json.loads(out_of(store).read("run.json"))["plan"] is None


def test_a_list_made_for_a_folder_is_none_of_an_address_and_the_reverse(three, tmp_path):
    folder = tmp_path / "scans"
    for planned, given in ((folder, three), (three, folder)):
        plan_at(planned, tmp_path / "out")
        with pytest.raises(OutputError, match=rf"was planned otherwise: the dataset {planned} -> {given}; .*plan it"):
            run.preprocess(given, tmp_path / "out", workers=0, report=False, shard="1/2")
    plan_at(folder, OUT)
    with pytest.raises(OutputError, match=rf"{OUT}/cases.jsonl: was planned otherwise: the dataset {folder} ->"):
        run.preprocess(three, OUT, workers=0, report=False, shard="1/2")
    assert len(run.preprocess(folder, OUT, workers=0, report=False, shard="1/1").done) == 3


def test_another_recipe_is_refused_by_plan_and_by_a_shard_and_redo_begins_anew(three, store):
    plan_at(three, OUT)
    with pytest.raises(OutputError, match=rf"{OUT}/cases.jsonl: was planned otherwise: .*order: 3 -> 1"):
        run.preprocess(three, OUT, Recipe(order=1), workers=0, report=False, shard="1/2")
    run.preprocess(three, OUT, workers=0, report=False, shard="1/1")
    merged(OUT)
    before = {name: out_of(store).read(name) for name in ("cases.jsonl", "run.json")}
    with pytest.raises(OutputError, match=rf"{OUT}: 3 cases are finished"):
        plan_at(three, OUT, recipe=Recipe(order=1))
    assert {name: out_of(store).read(name) for name in before} == before
    assert plan_at(three, OUT, recipe=Recipe(order=1), redo=True).finished == 0
    assert len(run.preprocess(three, OUT, Recipe(order=1), workers=0, report=False, shard="1/1").done) == 3


def test_of_two_plans_at_once_one_is_refused_and_its_list_is_not_written(three, store, monkeypatch):
    plan_at(three, OUT)
    of_other = {name: out_of(store).read(name) for name in ("run.json", "cases.jsonl")}
    for name in out_of(store).list():
        out_of(store).remove(name)
    real = module.Objects.create

    def create(self, name, content):
        for other, of in of_other.items():
            self.put(other, of)
        return real(self, name, content)

    monkeypatch.setattr(module.Objects, "create", create)
    with pytest.raises(OutputError, match="by another list of cases; nothing was changed"):
        plan_at(three, OUT, retire=True)
    assert {name: out_of(store).read(name) for name in out_of(store).list()} == of_other


def test_a_list_that_was_changed_or_removed_in_the_store_is_refused(three, store):
    plan_at(three, OUT)
    content = out_of(store).read("cases.jsonl")
    out_of(store).put("cases.jsonl", content.replace(b"case_1", b"case_9"))
    with pytest.raises(RecordError, match=rf"{OUT}/cases.jsonl: is not the list that run.json tells of"):
        run.preprocess(three, OUT, workers=0, report=False, shard="1/2")
    out_of(store).remove("cases.jsonl")
    with pytest.raises(RecordError, match=rf"{OUT}/cases.jsonl: cannot be read .*`plan` makes it again"):
        run.preprocess(three, OUT, workers=0, report=False, shard="1/2")


@pytest.mark.parametrize("name", ["../../x.mha", "/etc/x.mha"])
def test_a_list_that_leads_out_of_the_dataset_is_refused(three, store, name):
    """Whoever may write into a bucket must not write onto this machine."""
    plan_at(three, OUT)
    replant(store, lambda content: content.replace(b"ImagesTr/case_1.mha", name.encode()))
    with pytest.raises(RemoteError, match=rf"{three}: holds an object '.*x.mha', which no file can be called"):
        run.preprocess(three, OUT, workers=0, report=False, shard="1/1")


def test_a_list_that_does_not_tell_of_objects_is_refused(three, store):
    plan_at(three, OUT)
    replant(store, lambda content: content.replace(b'"objects"', b'"others"'))
    with pytest.raises(RecordError, match=r"the case 'case_0' does not tell which objects its files are; `plan` makes"):
        run.preprocess(three, OUT, workers=0, report=False, shard="1/2")


def replant(store, change) -> None:
    """Another list, and the hash that belongs to it."""
    listed, described = (out_of(store).read(name) for name in ("cases.jsonl", "run.json"))
    changed, hashes = change(listed), [hashlib.sha256(content).hexdigest() for content in (listed, change(listed))]
    out_of(store).put("cases.jsonl", changed)
    out_of(store).put("run.json", described.replace(*(hash_.encode() for hash_ in hashes)))


def test_a_folder_is_planned_as_ever(three, tmp_path):
    plan_cases(plan_run(tmp_path / "scans", tmp_path / "one"))
    plan_at(tmp_path / "scans", tmp_path / "two")
    assert (tmp_path / "one/cases.jsonl").read_bytes() == (tmp_path / "two/cases.jsonl").read_bytes()
    assert b"objects" not in (tmp_path / "two/cases.jsonl").read_bytes()
