import io
import os
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pocketgan.metrics.statistics as module
from pocketgan.metrics.statistics import FeatureStatistics, Moments


def gaussian(n, d, seed=0, shift=0.0):
    return np.random.default_rng(seed).normal(size=(n, d)) * np.linspace(0.5, 2.0, d) + shift


def streamed(rows, cuts):
    statistics = FeatureStatistics()
    for part in np.split(rows, sorted(cuts)):
        statistics.update(part)
    return statistics


def assert_moments(moments, rows):
    np.testing.assert_allclose(moments.mu, rows.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(moments.sigma, np.cov(rows, rowvar=False), rtol=1e-9, atol=1e-11)
    assert moments.n == len(rows)


@settings(deadline=None, max_examples=25)
@given(n=st.integers(2, 40), d=st.integers(2, 12), cuts=st.lists(st.integers(0, 40), max_size=6), seed=st.integers(0, 99))
def test_any_batching_gives_the_moments_of_the_whole(n, d, cuts, seed):
    rows = gaussian(n, d, seed, shift=100.0)
    assert_moments(streamed(rows, [min(cut, n) for cut in cuts]).moments(), rows)


def test_a_large_mean_costs_no_digits():
    rows = gaussian(500, 4)
    shifted = streamed(rows + 1e8, range(10, 500, 10)).moments()
    np.testing.assert_allclose(shifted.sigma, np.cov(rows, rowvar=False), atol=1e-6)


def test_few_samples_keep_a_factor_and_many_keep_bounded_memory():
    few, many = FeatureStatistics(), FeatureStatistics()
    few.update(gaussian(8, 8))
    assert few.moments().factor.shape == (8, 8)
    for seed in range(50):
        many.update(gaussian(3, 8, seed))
        assert sum(map(len, many._rows)) <= 8
    assert many.moments().factor is None
    assert many.count == 150


def test_the_callers_buffer_may_be_reused():
    buffer = gaussian(3, 8)
    expected = buffer.mean(axis=0)
    statistics = FeatureStatistics()
    statistics.update(buffer)
    buffer[:] = 0
    np.testing.assert_allclose(statistics.moments().mu, expected)


def test_root_is_a_root_of_the_numerical_rank():
    moments = Moments.of(gaussian(5, 9))
    full = Moments(moments.mu, covariance=moments.sigma)
    assert full.root.shape == (4, 9)
    np.testing.assert_allclose(full.root.T @ full.root, moments.sigma, atol=1e-12)


@pytest.mark.parametrize("n", [4, 30])
def test_saved_moments_come_back_bit_for_bit(tmp_path, n):
    moments = replace(Moments.of(gaussian(n, 6), features="net-12345678"), reals="train+test")
    path = tmp_path / "new" / "real_stat_A.npz"
    moments.save(path)
    loaded = Moments.load(path, features="net-12345678")
    np.testing.assert_array_equal(loaded.mu, moments.mu)
    np.testing.assert_allclose(loaded.sigma, moments.sigma, rtol=1e-15)
    assert (loaded.n, loaded.features, loaded.reals) == (n, "net-12345678", "train+test")
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_files_of_others_hold_mu_and_sigma_only(tmp_path):
    rows = gaussian(20, 5)
    np.savez(tmp_path / "stat.npz", mu=rows.mean(0).astype(np.float32), sigma=np.cov(rows.T).astype(np.float32))
    moments = Moments.load(tmp_path / "stat.npz", features="net")
    np.testing.assert_allclose(moments.sigma, np.cov(rows.T), rtol=1e-5, atol=1e-6)
    assert (moments.n, moments.features, moments.reals) == (None, "net", None)
    assert moments.mu.dtype == np.float64


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "stat.npz"
    Moments.of(gaussian(4, 3)).save(path)
    before = path.read_bytes()

    def full_disk(file, **_):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full_disk)
    with pytest.raises(ValueError, match=r"cannot write .*stat\.npz: No space"):
        Moments.of(gaussian(9, 3)).save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"mean": np.zeros(3)}, "lacks mu and sigma; it holds: mean"),
        ({"mu": np.zeros(3), "sigma": np.eye(4)}, r"found \(3,\) and \(4, 4\)"),
        ({"mu": np.full(2, np.nan), "sigma": np.eye(2)}, "NaN"),
        ({"mu": np.zeros(2), "sigma": np.array([[1.0, 0.5], [0.0, 1.0]])}, "not symmetric"),
        ({"mu": np.zeros(2), "sigma": np.eye(2), "features": "other-1"}, "'other-1', not of 'net'"),
        ({"mu": np.zeros(2), "sigma": np.eye(2), "n": 1}, r"stat\.npz: a covariance needs at least 2 images, found n=1"),
        ({"mu": np.full(2, 1e200), "sigma": np.eye(2)}, "more than 1e\\+100"),
        ({"mu": np.zeros(2), "sigma": -np.eye(2)}, "a variance is negative"),
        ({"mu": np.zeros(2) + 1j, "sigma": np.eye(2)}, r"mu is complex128 of shape \(2,\)"),
        ({"mu": np.zeros(2) > 0, "sigma": np.eye(2)}, "mu is bool"),
        ({"mu": np.zeros(2), "sigma": np.eye(2), "n": [5, 5]}, r"n is int64 of shape \(2,\)"),
        ({"mu": np.zeros(2), "sigma": np.eye(2), "n": 5.5}, "n is float64"),
        ({"mu": np.zeros(2), "sigma": np.eye(2), "features": 7}, "features is int64"),
    ],
)
def test_files_that_hold_no_moments_are_refused(tmp_path, content, message):
    np.savez(tmp_path / "stat.npz", **content)
    with pytest.raises(ValueError, match=message):
        Moments.load(tmp_path / "stat.npz", features="net")


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut short"])
def test_files_that_are_no_archive_are_refused(tmp_path, content):
    (tmp_path / "stat.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"no readable \.npz"):
        Moments.load(tmp_path / "stat.npz")


def test_an_npy_or_pickled_file_is_refused(tmp_path):
    np.save(tmp_path / "stat.npy", np.zeros(3))
    np.savez(tmp_path / "pickled.npz", mu=np.array([{}], dtype=object))
    for name in ("stat.npy", "pickled.npz"):
        with pytest.raises(ValueError, match=r"no readable \.npz"):
            Moments.load(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="pocketgan stats"):
        Moments.load(tmp_path / "none.npz")


def test_what_a_file_claims_is_bounded(tmp_path, monkeypatch):
    path = tmp_path / "stat.npz"
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**7, 10**7)})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mu.npy", header.getvalue())
    with pytest.raises(ValueError, match=r"stat\.npz is no readable \.npz"):
        Moments.load(path)
    monkeypatch.setattr(module, "_MOST_BYTES", 1000)
    np.savez_compressed(path, mu=np.zeros(2), sigma=np.zeros((20, 20)), other=np.zeros(10**6))
    with pytest.raises(ValueError, match="sigma has 3,328 bytes, more than the 1,000 that are read"):
        Moments.load(path)
    np.savez_compressed(path, mu=np.zeros(2), sigma=np.eye(2), other=np.zeros(10**6))
    assert Moments.load(path).dim == 2


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "stat.npz")
    with pytest.raises(ValueError, match="is a pipe, folder or device"):
        Moments.load(tmp_path / "stat.npz")


def test_bad_features_are_named_and_not_added():
    statistics = FeatureStatistics()
    statistics.update(gaussian(2, 3))
    bad = gaussian(5, 3)
    bad[3, 1] = np.nan
    with pytest.raises(ValueError, match="row 3 of 5"):
        statistics.update(bad)
    with pytest.raises(ValueError, match="features of 4 numbers cannot join features of 3"):
        statistics.update(gaussian(2, 4))
    with pytest.raises(ValueError, match=r"N x D.*\(2, 3, 1\)"):
        statistics.update(np.zeros((2, 3, 1)))
    assert statistics.count == 2


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_images_have_no_covariance(n):
    with pytest.raises(ValueError, match=f"at least 2 images, found {n}"):
        Moments.of(gaussian(n, 3))
