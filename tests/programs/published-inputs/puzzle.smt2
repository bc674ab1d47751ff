; Two 16-bit numbers whose product is 0xBEEF without overflow, neither of them 1.
(set-logic QF_BV)
(declare-fun a () (_ BitVec 16))
(declare-fun b () (_ BitVec 16))
(assert (= (bvmul ((_ zero_extend 16) a) ((_ zero_extend 16) b)) #x0000BEEF))
(assert (bvugt a #x0001))
(assert (bvugt b a))
(check-sat)
